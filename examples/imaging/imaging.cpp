// imaging: filters a picture on a DSP, as any program may, and checks the DSP's work.
//
// The picture lies in memory that is shared with the DSP; its module comes from this program's own directory. Each
// result is compared with the CPU's, and the edges are written as a PNG.
//
// Exit status: 0 all results equal the CPU's; 3 fastrpcd refused the session; 1 anything else.
#include "examples/imaging/dsp/imaging.h"
#include "client/fastrpc.hpp"
#include "examples/imaging/image.hpp"
#include "examples/imaging/reference.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fmt/core.h>
#include <string_view>
#include <unistd.h>

namespace {

using fastrpc::client::argument;
using imaging::Image;
namespace client = fastrpc::client;

constexpr int exit_failed = 1;
constexpr int exit_refused = 3;

struct Settings {
    client::Options session;
    std::string image;
    std::string output = "edges.png";
    unsigned repeat = 1;
    bool hold = false;
};

int failed(std::string_view what, const client::Error& error) {
    fmt::print(stderr, "imaging: {}: {} (code 0x{:X}, {})\n", what, error.text(), static_cast<unsigned>(error.code()),
               error.name());
    return exit_failed;
}

// The header of every method, dsp/imaging.h.
struct Shape {
    std::uint32_t width, height, stride;
};

// The picture and the place of a result of its shape, in shared memory.
struct Work {
    const Image& image;
    Shape shape{};
    client::Buffer in, out;

    explicit Work(const Image& picture) : image(picture) {
        // Lines begin at multiples of 64 bytes, as vector units like them.
        shape = {image.width, image.height, (image.width + 63U) & ~63U};
    }
    [[nodiscard]] std::size_t size() const { return std::size_t{shape.stride} * shape.height; }
    void put_picture() const {
        for (std::uint32_t y = 0; y < image.height; ++y)
            std::memcpy(in.bytes().data() + std::size_t{y} * shape.stride, image.line(y), image.width);
    }
    [[nodiscard]] Image result() const {
        Image taken{image.width, image.height, std::vector<std::uint8_t>(image.pixels.size())};
        for (std::uint32_t y = 0; y < image.height; ++y)
            std::memcpy(taken.pixels.data() + std::size_t{y} * image.width,
                        out.bytes().data() + std::size_t{y} * shape.stride, image.width);
        return taken;
    }
};

double percentile(const std::vector<double>& sorted, double share) {
    const auto at = static_cast<std::size_t>(share * static_cast<double>(sorted.size() - 1) + 0.5);
    return sorted[at];
}

// Calls a method as often as asked; prints its line. False when a call failed or a result differs from the CPU's.
bool run(const char* name, const Work& work, unsigned repeat, auto call, auto equal) {
    std::vector<double> times;
    bool same = true;
    for (unsigned i = 0; i < repeat; ++i) {
        const auto start = std::chrono::steady_clock::now();
        const client::Error error = call();
        times.push_back(std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count());
        if (error) return failed(name, error), false;
        same = equal() && same;
    }
    std::ranges::sort(times);
    const std::string time = repeat == 1 ? fmt::format("{:.0f} us", times.front())
                                         : fmt::format("{} calls, p50 {:.0f} us, p99 {:.0f} us", repeat,
                                                       percentile(times, 0.5), percentile(times, 0.99));
    fmt::print("{:<10} {}x{}  {}  {}\n", name, work.image.width, work.image.height, time,
               same ? "equal to the CPU's" : "DIFFERENT from the CPU's");
    return same;
}

int filter(const client::Session& session, const client::Module& module, const Settings& settings, const Image& image) {
    Work work(image);
    if (auto error = session.allocate(work.size(), work.in)) return failed("a buffer for the picture", error);
    if (auto error = session.allocate(work.size(), work.out)) return failed("a buffer for the results", error);
    work.put_picture();

    std::array<std::uint32_t, 256> counts{};
    const auto expected_counts = imaging::histogram(image);
    bool same = run(
        "histogram", work, settings.repeat,
        [&] {
            counts.fill(0);
            return module.invoke(IMAGING_HISTOGRAM, {argument(work.shape), work.in.argument(0, work.size())},
                                 {argument(counts)});
        },
        [&] { return counts == expected_counts; });
    const auto filter_with = [&](const char* name, unsigned method, const Image& expected) {
        return run(
            name, work, settings.repeat,
            [&] {
                // A result that the DSP does not write can't be mistaken for its work.
                std::ranges::fill(work.out.bytes(), std::byte{0xA5});
                return module.invoke(method, {argument(work.shape), work.in.argument(0, work.size())},
                                     {work.out.argument(0, work.size())});
            },
            [&] { return work.result().pixels == expected.pixels; });
    };
    same = filter_with("sobel3x3", IMAGING_SOBEL, imaging::sobel(image)) && same;
    const Image edges = work.result();
    same = filter_with("dilate3x3", IMAGING_DILATE, imaging::dilate(image)) && same;
    if (!same) return exit_failed;
    if (auto written = imaging::write_png(settings.output, edges); !written) {
        fmt::print(stderr, "imaging: {}\n", written.error());
        return exit_failed;
    }
    fmt::print("edges      {}\n", settings.output);
    return 0;
}

int work(const Settings& settings) {
    const auto image = imaging::read_image(settings.image);
    if (!image) {
        fmt::print(stderr, "imaging: {}\n", image.error());
        return exit_failed;
    }
    client::Session session;
    if (auto error = session.open(settings.session)) {
        if (!std::string_view(error.name()).starts_with("org.fastrpc1.Error."))
            return failed("opening a session", error);
        fmt::print(stderr, "imaging: the session was refused: {}\n{}\n", error.name(), error.text());
        return exit_refused;
    }
    const fastrpc_grant& grant = session.grant();
    fmt::print("session    {} on {}, {} PD, allowed by \"{}\" ({}:{})\n", session.id(), settings.session.domain,
               settings.session.pd, grant.rule, grant.file, grant.line);
    client::Module module;
    if (auto error = session.open_module("libimaging_skel.so", "imaging", module))
        return failed("opening the module", error);
    const int result = filter(session, module, settings, *image);
    if (settings.hold && result == 0) {
        fmt::print("holding    the session stays open until standard input ends\n");
        std::fflush(stdout);
        char byte = 0;
        while (::read(STDIN_FILENO, &byte, 1) > 0) {
        }
    }
    return result;
}

} // namespace

int main(int argc, char** argv) {
    std::error_code ignored; // without /proc the defaults are relative, and a missing file is then named
    const std::filesystem::path here = std::filesystem::read_symlink("/proc/self/exe", ignored).parent_path();
    Settings settings;
    settings.image = here / "sample.png";
    settings.session.label = "imaging";
    settings.session.directories = {here / "dsp"};

    CLI::App app("Filters a picture on a DSP and compares with the CPU", "imaging");
    app.add_option("--domain", settings.session.domain, "the DSP")->capture_default_str();
    app.add_option("--pd", settings.session.pd, "unsigned or signed")->capture_default_str();
    app.add_option("--module-dir", settings.session.directories.front(), "where libimaging_skel.so is")
        ->capture_default_str();
    app.add_option("--output", settings.output, "PNG for the edges")->capture_default_str();
    app.add_option("--repeat", settings.repeat, "calls of each method")
        ->check(CLI::Range(1U, 1000000U))
        ->capture_default_str();
    app.add_flag("--hold", settings.hold, "keep the session open until standard input ends");
    app.add_option("IMAGE", settings.image, "PNG or PGM, up to 8192x8192")->capture_default_str();
    CLI11_PARSE(app, argc, argv);
    return work(settings);
}
