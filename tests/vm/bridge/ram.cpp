#include "tests/vm/bridge/ram.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <fcntl.h>
#include <fstream>
#include <iterator>

namespace fastrpc::vm {
namespace {

constexpr std::uint64_t sid_step = std::uint64_t{1} << 32;
constexpr std::uint64_t page = 4096;
constexpr std::string_view ram_suffix = " : System RAM";

// "40000000-7fffffff : System RAM"; what lies inside such a range is indented.
std::optional<Ram::Range> parse(std::string_view line) {
    if (!line.ends_with(ram_suffix)) return std::nullopt;
    line.remove_suffix(ram_suffix.size());
    std::uint64_t first = 0;
    std::uint64_t last = 0;
    const auto [dash, error] = std::from_chars(line.data(), line.data() + line.size(), first, 16);
    if (error != std::errc{} || dash == line.data() + line.size() || *dash != '-') return std::nullopt;
    const auto [end, again] = std::from_chars(dash + 1, line.data() + line.size(), last, 16);
    if (again != std::errc{} || end != line.data() + line.size()) return std::nullopt;
    // Whole pages only, and only what 32 bits can name.
    const std::uint64_t begin = (first + page - 1) / page * page;
    const std::uint64_t stop = std::min(last + 1, sid_step) / page * page;
    if (begin >= stop) return std::nullopt;
    return Ram::Range{begin, stop - begin};
}

} // namespace

std::vector<Ram::Range> Ram::ranges(std::string_view iomem) {
    std::vector<Range> found;
    while (!iomem.empty()) {
        const std::size_t end = std::min(iomem.find('\n'), iomem.size());
        if (const auto range = parse(iomem.substr(0, end))) found.push_back(*range);
        iomem.remove_prefix(std::min(end + 1, iomem.size()));
    }
    return found;
}

Result<Ram> Ram::open(const std::string& memory) {
    UniqueFd fd(::open(memory.c_str(), O_RDWR | O_CLOEXEC));
    if (!fd) return fail_errno("opening " + memory + " (module dsplink)", errno);
    std::ifstream file("/proc/iomem");
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    auto found = ranges(text);
    if (found.empty()) return fail(ErrorKind::system, "/proc/iomem names no RAM below 4 GiB; only root sees addresses");
    return Ram(std::move(found), std::move(fd));
}

std::optional<vdsp::DmaWindow> Ram::window(std::uint64_t address) const {
    const std::uint64_t physical = address % sid_step;
    const auto range = std::ranges::find_if(
        ranges_, [&](const Range& entry) { return physical >= entry.first && physical - entry.first < entry.size; });
    if (range == ranges_.end()) return std::nullopt;
    UniqueFd fd(::fcntl(memory_.get(), F_DUPFD_CLOEXEC, 0));
    if (!fd) return std::nullopt;
    return vdsp::DmaWindow{
        .address = address - physical + range->first, .size = range->size, .fd = std::move(fd), .offset = range->first};
}

} // namespace fastrpc::vm
