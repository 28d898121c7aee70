// bench files: what serving the DSP's files costs, beside a loop that does nothing but decode, pread and encode.
//
// Both sit on the same feeder, which plays the DSP in this process: it hands out request blobs and looks at replies as
// a loader does. There is no kernel and no DSP between, which would cost both the same and hide the difference.
#include "daemon/reverse/reverse_server.hpp"
#include "ipc/aee.hpp"
#include "ipc/blob.hpp"
#include "ipc/pack.hpp"
#include "tests/bench/figures.hpp"
#include "tests/support/scratch.hpp"
#include "tests/unit/device/device_stub.hpp"

#include <CLI/CLI.hpp>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <fmt/core.h>
#include <random>
#include <stdexcept>
#include <sys/resource.h>
#include <unistd.h>

namespace {

using namespace fastrpc;
using Bytes = std::vector<std::byte>;
using Clock = std::chrono::steady_clock;

constexpr unsigned fopen_with_env = 19, fread_method = 4, fclose_method = 3;
constexpr std::string_view variable = "ADSP_LIBRARY_PATH";

Bytes words(std::initializer_list<std::uint32_t> values) {
    Packer packer;
    for (const std::uint32_t value : values) packer.u32(value);
    return packer.bytes();
}
Bytes string(std::string_view text) {
    const auto run = std::as_bytes(std::span(text));
    Bytes bytes(run.begin(), run.end());
    bytes.push_back(std::byte{0});
    return bytes;
}
Bytes blob(const std::vector<Bytes>& inputs, const std::vector<std::uint32_t>& capacities) {
    const std::vector<std::span<const std::byte>> views(inputs.begin(), inputs.end());
    return encode_request(views, capacities);
}
std::uint32_t word_at(std::span<const std::byte> bytes, std::size_t at) {
    std::uint32_t value = 0;
    std::memcpy(&value, bytes.data() + at, sizeof value);
    return value;
}

struct Request {
    Scalars scalars;
    Bytes bytes;
};

double cpu_seconds() {
    rusage usage{};
    ::getrusage(RUSAGE_THREAD, &usage);
    const auto seconds = [](const timeval& time) {
        return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

/// The DSP's loader: opens each file by name, reads it by `size` bytes (0: not at all) and closes it.
class Feeder {
public:
    /// `times`: how often it loads all of them, after a first time that does not count.
    Feeder(const std::vector<std::string>& names, std::uint32_t size, unsigned times) : size_(size), times_(times) {
        for (const std::string& name : names)
            opens_.push_back(
                {Scalars::make(fopen_with_env, 5, 1), blob({words({static_cast<std::uint32_t>(variable.size()) + 1, 2,
                                                                   static_cast<std::uint32_t>(name.size()) + 1, 2}),
                                                            string(variable), string(";"), string(name), string("r")},
                                                           {4})});
        read_ = {Scalars::make(fread_method, 1, 2), blob({words({0, size})}, {8, size})};
        close_ = {Scalars::make(fclose_method, 1, 0), blob({words({0})}, {})};
    }

    /// The next request after the last one's answer; null when all is done.
    const Request* next(std::int32_t result, std::span<const std::byte> reply) {
        if (result != 0) throw std::runtime_error(fmt::format("request {} failed: {}", requests, result));
        switch (last_) {
        case Last::open: {
            const std::uint32_t number = word_at(reply, 8);
            std::memcpy(read_.bytes.data() + 8, &number, sizeof number);
            std::memcpy(close_.bytes.data() + 8, &number, sizeof number);
            last_ = size_ == 0 ? Last::close : Last::read;
            break;
        }
        case Last::read:
            bytes += word_at(reply, 8);
            if (sum) check(reply.subspan(24, word_at(reply, 8)));
            if (word_at(reply, 12) != 0) last_ = Last::close;
            break;
        case Last::close:
            if (file_ == opens_.size() && !again()) return nullptr;
            last_ = Last::open;
            ++requests;
            return &opens_[file_++];
        }
        ++requests;
        return last_ == Last::read ? &read_ : &close_;
    }

    /// Of what counts.
    std::uint64_t requests = 0, bytes = 0;
    double seconds = 0, cpu = 0;
    double first_seconds = 0; ///< of the time that does not count
    bool sum = false;         ///< adds up the bytes in `total`
    std::uint64_t total = 0;

private:
    bool again() {
        const double elapsed = std::chrono::duration<double>(Clock::now() - start_).count();
        if (pass_ == 0) {
            first_seconds = elapsed;
            requests = bytes = 0;
            cpu = cpu_seconds();
            start_ = Clock::now();
        }
        file_ = 0;
        if (pass_++ < times_) return true;
        seconds = elapsed;
        cpu = cpu_seconds() - cpu;
        return false;
    }
    void check(std::span<const std::byte> data) {
        for (const std::byte one : data) total = total * 31 + static_cast<std::uint8_t>(one);
    }

    enum class Last { open, read, close } last_ = Last::close;
    std::uint32_t size_;
    unsigned times_, pass_ = 0;
    Clock::time_point start_ = Clock::now();
    std::vector<Request> opens_;
    Request read_, close_;
    std::size_t file_ = 0;
};

/// What any server must do and nothing else.
void serve_bare(Feeder& feeder, int directory) {
    std::vector<std::byte> reply(64), request(4096);
    std::size_t reply_size = 0;
    const auto put = [&](std::size_t at, std::uint32_t value) { std::memcpy(reply.data() + at, &value, sizeof value); };
    std::vector<std::uint64_t> positions(1024);
    const Request* asked = nullptr;
    while ((asked = feeder.next(0, std::span(reply).first(reply_size))) != nullptr) {
        std::memcpy(request.data(), asked->bytes.data(), asked->bytes.size());
        const std::span<const std::byte> in(request.data(), asked->bytes.size());
        switch (asked->scalars.method()) {
        case fopen_with_env: {
            std::size_t at = 0;
            const char* name = nullptr;
            for (int i = 0; i < 5; ++i) {
                const std::uint32_t length = word_at(in, at);
                at = align_up(at + 4, 8);
                if (length > in.size() - at) throw std::runtime_error("bad blob");
                if (i == 3) name = reinterpret_cast<const char*>(in.data() + at);
                at += length;
            }
            const int fd = ::openat(directory, name, O_RDONLY | O_CLOEXEC);
            if (fd < 0) throw std::runtime_error(errno_text(errno));
            positions.at(static_cast<std::size_t>(fd)) = 0;
            put(0, 4);
            put(4, 0);
            put(8, static_cast<std::uint32_t>(fd));
            reply_size = 12;
            break;
        }
        case fread_method: {
            const std::uint32_t fd = word_at(in, 8), size = word_at(in, 12);
            if (reply.size() < size + 24) reply.resize(size + 24);
            std::uint64_t& position = positions.at(fd);
            const ssize_t got = ::pread(static_cast<int>(fd), reply.data() + 24, size, static_cast<off_t>(position));
            if (got < 0) throw std::runtime_error(errno_text(errno));
            position += static_cast<std::uint64_t>(got);
            put(0, 8);
            put(4, 0);
            put(8, static_cast<std::uint32_t>(got));
            put(12, static_cast<std::size_t>(got) < size ? 1 : 0);
            put(16, size);
            put(20, 0);
            reply_size = size + 24;
            break;
        }
        default:
            ::close(static_cast<int>(word_at(in, 8)));
            reply_size = 0;
        }
    }
}

/// Leads the listener to the feeder.
class FeederDevice final : public daemon::DeviceStub {
public:
    explicit FeederDevice(Feeder& feeder) : feeder_(feeder) {}

    daemon::CallResult invoke(std::uint32_t, Scalars scalars, std::span<const daemon::Argument> arguments) override {
        if (scalars.method() != 6) return {}; // init2
        std::array<std::uint32_t, 4> in{};
        std::memcpy(in.data(), arguments[0].data, sizeof in);
        const Request* asked = &hello_;
        if (greeted_) {
            const auto* reply = static_cast<const std::byte*>(arguments[1].data);
            const bool first = !started_;
            started_ = true;
            asked = feeder_.next(first ? 0 : static_cast<std::int32_t>(in[1]),
                                 first ? std::span<const std::byte>() : std::span(reply, in[2]));
            if (asked == nullptr) return {aee::on_dsp(aee::bad_state), 0};
        }
        const std::array<std::uint32_t, 4> out{1, greeted_ ? 1U : 0U, asked->scalars.word,
                                               static_cast<std::uint32_t>(asked->bytes.size())};
        greeted_ = true;
        std::memcpy(arguments[2].data, out.data(), sizeof out);
        std::memcpy(arguments[3].data, asked->bytes.data(), asked->bytes.size());
        return {};
    }

private:
    Feeder& feeder_;
    bool greeted_ = false, started_ = false;
    /// remotectl's open of apps_std, which then is handle 1.
    Request hello_{Scalars::make(0, 2, 2), blob({words({9, 16}), string("apps_std")}, {8, 16})};
};

class Ours {
public:
    explicit Ours(const test::Scratch& scratch) : scratch_(scratch) {}
    void serve(Feeder& feeder) {
        FeederDevice device(feeder);
        daemon::FileTree tree(Domain::adsp);
        tree.add(scratch_.fd(), "/usr/lib/dsp", daemon::Links::beneath);
        tree.remember_files();
        daemon::ReverseServer(device, std::move(tree), stats_).run();
    }

private:
    const test::Scratch& scratch_;
    daemon::ReverseStats stats_;
};

struct Round {
    double seconds = 0, cpu = 0, first_seconds = 0;
    std::uint64_t requests = 0, bytes = 0;
};

template<class Serve>
Round measure(const std::vector<std::string>& names, std::uint32_t size, unsigned times, const Serve& serve) {
    Feeder feeder(names, size, times);
    serve(feeder);
    return {feeder.seconds, feeder.cpu, feeder.first_seconds, feeder.requests, feeder.bytes};
}

struct Load {
    const char* key;
    std::uint32_t size; ///< of a read; 0: files are only opened and closed
    unsigned times;     ///< in a round
};

void run(unsigned repetitions, std::map<std::string, double>& figures) {
    const test::Scratch scratch;
    std::vector<std::string> names{"module.so"};
    std::mt19937 random(1);
    std::uint64_t bytes = 0;
    const auto add = [&](const std::string& name, std::size_t size) {
        std::string text(size, '\0');
        for (char& one : text) one = static_cast<char>(random());
        scratch.file(name, text);
        bytes += size;
    };
    add(names.front(), 8U << 20);
    for (unsigned i = 0; i < 500; ++i) {
        names.push_back(fmt::format("libsmall{}_skel.so", i));
        add(names.back(), std::uniform_int_distribution<std::size_t>(512, 16384)(random));
    }
    const UniqueFd directory = scratch.fd();
    Ours ours(scratch);
    const auto bare = [&](Feeder& feeder) { serve_bare(feeder, directory.get()); };
    const auto own = [&](Feeder& feeder) { ours.serve(feeder); };

    std::array<std::uint64_t, 2> sums{};
    for (const int who : {0, 1}) {
        Feeder feeder(names, 4097, 1);
        feeder.sum = true;
        who == 0 ? bare(feeder) : own(feeder);
        sums[static_cast<std::size_t>(who)] = feeder.total;
        if (feeder.bytes != bytes) throw std::runtime_error("not all bytes came");
    }
    if (sums[0] != sums[1]) throw std::runtime_error("the bytes that came differ");

    std::printf("one module of 8 MiB and 500 files of 0.5 to 16 KiB, %u rounds\n", repetitions);
    std::printf("  %-14s %28s %28s   %s\n", "", "bare: MB/s, requests/s, us", "ours: MB/s, requests/s, us", "ratio");
    std::vector<double> first_ratios; // files that the server has not seen before
    for (const Load& load : {Load{"ratio_256", 256, 1}, Load{"ratio_4k", 4096, 4}, Load{"ratio_64k", 65536, 8},
                             Load{"ratio_1m", 1U << 20, 8}, Load{"ratio_open", 0, 20}}) {
        std::vector<double> ratios;
        std::array<Round, 2> total;
        for (unsigned i = 0; i < repetitions + 1; ++i) {
            std::array<Round, 2> rounds;
            for (const unsigned turn : {0U, 1U}) {
                const unsigned who = (turn + i) % 2;
                rounds[who] =
                    who == 0 ? measure(names, load.size, load.times, bare) : measure(names, load.size, load.times, own);
            }
            if (i == 0) continue; // warms up
            ratios.push_back(rounds[0].seconds / rounds[1].seconds);
            if (load.size == 0) first_ratios.push_back(rounds[0].first_seconds / rounds[1].first_seconds);
            for (const unsigned who : {0U, 1U}) {
                total[who].seconds += rounds[who].seconds;
                total[who].cpu += rounds[who].cpu;
                total[who].requests += rounds[who].requests;
                total[who].bytes += rounds[who].bytes;
            }
        }
        const bench::Spread ratio = bench::spread(ratios);
        const auto text = [](const Round& round) {
            return fmt::format("{:7.0f} {:10.0f} {:7.2f}", static_cast<double>(round.bytes) / round.seconds / 1e6,
                               static_cast<double>(round.requests) / round.seconds,
                               round.cpu / static_cast<double>(round.requests) * 1e6);
        };
        std::printf("  %-14s %28s %28s   %.2f (%.2f-%.2f)\n", load.key, text(total[0]).c_str(), text(total[1]).c_str(),
                    ratio.median, ratio.least, ratio.most);
        figures[load.key] = ratio.median;
    }
    const bench::Spread first = bench::spread(first_ratios);
    figures["ratio_first_open"] = first.median;
    std::printf("  %-14s %59s %.2f (%.2f-%.2f)\n", "first opens", "", first.median, first.least, first.most);
    for (const auto& [key, value] : figures) std::printf("%-30s %.3f\n", key.c_str(), value);
}

} // namespace

int main(int argc, char** argv) {
    CLI::App app("Serving files to the DSP, beside a bare loop", "bench files");
    unsigned repetitions = 9;
    std::string file;
    app.add_option("--repetitions", repetitions, "rounds of each load")->check(CLI::Range(1, 1000));
    app.add_option("--json", file, "write the figures to this file");
    CLI11_PARSE(app, argc, argv);
    std::map<std::string, double> figures;
    try {
        run(repetitions, figures);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "bench files: %s\n", error.what());
        return 1;
    }
    if (!file.empty() && !bench::write_figures(file, "files", figures)) {
        std::fprintf(stderr, "bench files: cannot write %s\n", file.c_str());
        return 1;
    }
    return 0;
}
