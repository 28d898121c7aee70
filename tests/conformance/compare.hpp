// The virtual driver's answers beside the real one's: which cases differ, and whether that is explained.
//
// Explanations are blocks of a text file; they hold both answers whole, so that a difference that changes is a new one:
//
//   # a comment
//   alloc/fd/seek
//     virtual: <results> | <outputs> | <what reached the DSP>
//     real: <the same>
//     reason: why the virtual driver cannot reasonably do the same
#pragma once

#include "base/result.hpp"

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace fastrpc::conformance {

/// What one driver said to the list of cases.
struct Column {
    std::vector<std::string> names;             ///< in the order of the list
    std::map<std::string, std::string> answers; ///< "results | outputs | wire"
    std::vector<std::string> twice;             ///< cases that came more than once
};
/// Takes the lines "CASE name | ..." out of a program's output or a console's.
Column read_column(std::string_view text);

struct Explanation {
    std::string name;
    std::string virtual_answer;
    std::string real_answer;
    std::string reason;
};
/// ErrorKind::invalid with the line at fault.
Result<std::vector<Explanation>> read_explanations(std::string_view text);

struct Row {
    enum class Verdict {
        same,
        explained,
        differs,
        missing,     ///< one side lacks the case
        twice,       ///< a side has it twice
        not_done,    ///< both say the same, and that is that the case could not be carried out
        stale,       ///< explained, and the answers do not differ
        unknown_case ///< explained, and no side has it
    };
    std::string name;
    std::string virtual_answer;
    std::string real_answer;
    Verdict verdict = Verdict::same;
    std::string reason;

    [[nodiscard]] bool good() const { return verdict == Verdict::same || verdict == Verdict::explained; }
};
std::vector<Row> compare(const Column& virtual_column, const Column& real_column,
                         const std::vector<Explanation>& explanations);

/// One line: the verdict, the name, both answers cut to `width` characters each and a hash of the whole. A bad row is
/// followed by both answers, column by column where they differ.
std::string text_of(const Row& row, std::size_t width = 34);

/// The explained rows as a Markdown table.
std::string explained_table(const std::vector<Explanation>& explanations);

} // namespace fastrpc::conformance
