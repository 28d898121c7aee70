// conformance-compare VIRTUAL REAL EXPLAINED [DOCUMENT]: the table of both columns, then how many rows are good.
//
// DOCUMENT must hold the explained differences as the table that is made from EXPLAINED. The last line is
// "N passed, M failed"; exits with 1 when a row is bad, 2 when there is nothing to compare.
#include "compare.hpp"

#include <cstdio>
#include <fmt/core.h>
#include <fstream>
#include <iterator>
#include <optional>

namespace {

using namespace fastrpc;

constexpr std::size_t fewest_cases = 250;

std::optional<std::string> contents(const char* path) {
    std::ifstream file(path, std::ios::binary);
    std::string text(std::istreambuf_iterator<char>(file), {});
    if (file.bad() || !file.is_open()) {
        fmt::print(stderr, "conformance-compare: cannot read {}\n", path);
        return std::nullopt;
    }
    return text;
}

} // namespace

int main(int argc, char** argv) {
    if (argc != 4 && argc != 5) {
        fmt::print(stderr, "usage: conformance-compare VIRTUAL REAL EXPLAINED [DOCUMENT]\n");
        return 2;
    }
    const auto ours = contents(argv[1]);
    const auto theirs = contents(argv[2]);
    const auto explained = contents(argv[3]);
    const auto document = argc == 5 ? contents(argv[4]) : std::optional<std::string>("");
    if (!ours || !theirs || !explained || !document) return 2;
    const auto explanations = conformance::read_explanations(*explained);
    if (!explanations) {
        fmt::print(stderr, "conformance-compare: {}: {}\n", argv[3], explanations.error().text);
        return 2;
    }
    const auto rows =
        conformance::compare(conformance::read_column(*ours), conformance::read_column(*theirs), *explanations);
    std::size_t bad = 0;
    std::size_t explained_rows = 0;
    fmt::print("{:<9} {:<46} | {:<43} | {}\n", "", "case", "virtual driver", "real driver");
    for (const conformance::Row& row : rows) {
        fmt::print("{}\n", conformance::text_of(row));
        if (!row.good()) ++bad;
        if (row.verdict == conformance::Row::Verdict::explained) ++explained_rows;
    }
    if (rows.size() < fewest_cases) {
        fmt::print("only {} cases were compared, and {} are the least\n", rows.size(), fewest_cases);
        ++bad;
    }
    if (argc == 5 && document->find(conformance::explained_table(*explanations)) == std::string::npos) {
        fmt::print("{} lacks this table of the explained differences, or has another:\n{}", argv[4],
                   conformance::explained_table(*explanations));
        ++bad;
    }
    fmt::print("{} cases, {} explained differences, {} unexplained\n", rows.size(), explained_rows, bad);
    fmt::print("{} passed, {} failed\n", rows.size() - std::min(bad, rows.size()), bad);
    return bad == 0 ? 0 : 1;
}
