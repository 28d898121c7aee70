#include "compare.hpp"

#include "script.hpp"

#include <algorithm>
#include <array>
#include <fmt/core.h>
#include <set>

namespace fastrpc::conformance {

namespace {

constexpr std::string_view between = " | ";

/// Calls `take` with each line, without its end.
template<class Take>
void each_line(std::string_view text, Take take) {
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        std::string_view line = text.substr(0, end);
        if (line.ends_with('\r')) line.remove_suffix(1);
        take(line);
        text.remove_prefix(std::min(end + 1, text.size()));
    }
}

/// The parts of an answer; what is missing is empty.
std::array<std::string_view, 3> columns(std::string_view answer) {
    std::array<std::string_view, 3> parts;
    for (std::size_t i = 0; i < parts.size(); ++i) {
        const std::size_t end = i + 1 < parts.size() ? answer.find(between) : std::string_view::npos;
        parts[i] = answer.substr(0, end);
        answer = end == std::string_view::npos ? std::string_view{} : answer.substr(end + between.size());
    }
    return parts;
}

/// What the program says when it got no answers.
bool was_carried_out(std::string_view answer) {
    static constexpr std::string_view excuses[] = {
        "GAVE UP",   "THE DSP DOES NOT ANSWER", "NO ANSWER IN TIME", "BROKEN REPORT", "NO PIPE", "NO LOG", "NO RESTART",
        "BROKEN LOG"};
    return std::ranges::none_of(excuses,
                                [&](std::string_view excuse) { return answer.find(excuse) != std::string::npos; });
}

std::string cut(std::string_view answer, std::size_t width) {
    const std::string_view results = columns(answer)[0];
    const std::string text(results.size() <= width ? results : results.substr(0, width - 2));
    return fmt::format("{:<{}} {:08x}", results.size() <= width ? text : text + "..", width,
                       hash_bytes(answer.data(), answer.size()) & 0xFFFFFFFF);
}

std::string_view word(Row::Verdict verdict) {
    switch (verdict) {
    case Row::Verdict::same:
        return "same";
    case Row::Verdict::explained:
        return "EXPLAINED";
    case Row::Verdict::differs:
        return "DIFFERS";
    case Row::Verdict::missing:
        return "MISSING";
    case Row::Verdict::twice:
        return "TWICE";
    case Row::Verdict::not_done:
        return "NOT-DONE";
    case Row::Verdict::stale:
        return "STALE";
    case Row::Verdict::unknown_case:
        return "UNKNOWN";
    }
    return "?";
}

} // namespace

Column read_column(std::string_view text) {
    Column column;
    each_line(text, [&](std::string_view line) {
        constexpr std::string_view mark = "CASE ";
        const std::size_t name_end = line.find(between);
        if (!line.starts_with(mark) || name_end == std::string_view::npos) return;
        std::string name(line.substr(mark.size(), name_end - mark.size()));
        const auto added = column.answers.emplace(name, line.substr(name_end + between.size()));
        (added.second ? column.names : column.twice).push_back(std::move(name));
    });
    return column;
}

Result<std::vector<Explanation>> read_explanations(std::string_view text) {
    std::vector<Explanation> explanations;
    std::set<std::string> names;
    std::string error;
    unsigned number = 0;
    const auto bad = [&](std::string_view what) {
        if (error.empty()) error = fmt::format("line {}: {}", number, what);
    };
    const auto check_last = [&] {
        if (explanations.empty()) return;
        const Explanation& last = explanations.back();
        if (last.virtual_answer.empty() || last.real_answer.empty() || last.reason.empty())
            bad(fmt::format("{} above needs virtual:, real: and reason:", last.name));
        else if (last.virtual_answer == last.real_answer)
            bad(fmt::format("{} above: both answers are the same", last.name));
    };
    each_line(text, [&](std::string_view line) {
        ++number;
        if (line.empty() || line.starts_with('#')) return;
        if (!line.starts_with(' ')) {
            check_last();
            if (!names.insert(std::string(line)).second) bad(fmt::format("{} is explained twice", line));
            explanations.push_back({.name = std::string(line), .virtual_answer = {}, .real_answer = {}, .reason = {}});
            return;
        }
        line.remove_prefix(line.find_first_not_of(' '));
        if (explanations.empty()) return bad("it belongs to no case");
        Explanation& last = explanations.back();
        const auto keyed = [&](std::string_view key, std::string& value) {
            if (!line.starts_with(key)) return false;
            if (!value.empty()) bad(fmt::format("{} comes twice", key));
            value = line.substr(key.size());
            return true;
        };
        if (!keyed("virtual: ", last.virtual_answer) && !keyed("real: ", last.real_answer) &&
            !keyed("reason: ", last.reason))
            bad("only virtual:, real: and reason: belong to a case");
    });
    check_last();
    if (!error.empty()) return fail(ErrorKind::invalid, error);
    return explanations;
}

std::vector<Row> compare(const Column& virtual_column, const Column& real_column,
                         const std::vector<Explanation>& explanations) {
    using Verdict = Row::Verdict;
    std::vector<std::string> names = virtual_column.names;
    for (const std::string& name : real_column.names)
        if (!virtual_column.answers.contains(name)) names.push_back(name);
    for (const Explanation& explanation : explanations)
        if (std::ranges::find(names, explanation.name) == names.end()) names.push_back(explanation.name);
    const auto answer = [](const Column& column, const std::string& name) {
        const auto found = column.answers.find(name);
        return found == column.answers.end() ? std::string() : found->second;
    };
    const auto is_twice = [](const Column& column, const std::string& name) {
        return std::ranges::find(column.twice, name) != column.twice.end();
    };
    std::vector<Row> rows;
    for (const std::string& name : names) {
        Row row{.name = name,
                .virtual_answer = answer(virtual_column, name),
                .real_answer = answer(real_column, name),
                .verdict = Verdict::same,
                .reason = {}};
        const auto found = std::ranges::find(explanations, name, &Explanation::name);
        const Explanation* explanation = found == explanations.end() ? nullptr : &*found;
        if (row.virtual_answer.empty() && row.real_answer.empty())
            row.verdict = Verdict::unknown_case;
        else if (row.virtual_answer.empty() || row.real_answer.empty())
            row.verdict = Verdict::missing;
        else if (is_twice(virtual_column, name) || is_twice(real_column, name))
            row.verdict = Verdict::twice;
        else if (row.virtual_answer == row.real_answer)
            row.verdict = explanation != nullptr             ? Verdict::stale
                          : was_carried_out(row.real_answer) ? Verdict::same
                                                             : Verdict::not_done;
        else if (explanation != nullptr && explanation->virtual_answer == row.virtual_answer &&
                 explanation->real_answer == row.real_answer)
            row.verdict = Verdict::explained;
        else
            row.verdict = Verdict::differs;
        if (explanation != nullptr) row.reason = explanation->reason;
        rows.push_back(std::move(row));
    }
    return rows;
}

std::string text_of(const Row& row, std::size_t width) {
    std::string text = fmt::format("{:<9} {:<46} | {} | {}", word(row.verdict), row.name,
                                   cut(row.virtual_answer, width), cut(row.real_answer, width));
    if (row.verdict == Row::Verdict::explained) text += " | " + row.reason;
    if (row.good()) return text;
    static constexpr std::string_view titles[] = {"results", "outputs", "wire"};
    const auto ours = columns(row.virtual_answer);
    const auto theirs = columns(row.real_answer);
    for (std::size_t i = 0; i < ours.size(); ++i) {
        if (ours[i] == theirs[i] && row.verdict == Row::Verdict::differs) continue;
        text += fmt::format("\n    {}\n      virtual: {}\n      real:    {}", titles[i], ours[i], theirs[i]);
    }
    return text;
}

std::string explained_table(const std::vector<Explanation>& explanations) {
    std::string text = "| Case | Virtual | Real | Reason |\n| --- | --- | --- | --- |\n";
    for (const Explanation& explanation : explanations) {
        std::string ours;
        std::string theirs;
        const auto first = columns(explanation.virtual_answer);
        const auto second = columns(explanation.real_answer);
        for (std::size_t i = 0; i < first.size(); ++i) {
            if (first[i] == second[i]) continue;
            ours += fmt::format("{}`{}`", ours.empty() ? "" : ", ", first[i]);
            theirs += fmt::format("{}`{}`", theirs.empty() ? "" : ", ", second[i]);
        }
        text += fmt::format("| `{}` | {} | {} | {} |\n", explanation.name, ours, theirs, explanation.reason);
    }
    return text;
}

} // namespace fastrpc::conformance
