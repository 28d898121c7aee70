// Words, columns and colours: every value of a host or client goes through word() or printable(), so none drives the
// terminal.
#pragma once

#include <initializer_list>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace fastrpc::ctl {

/// How answers for people look.
struct Style {
    bool legend = true; ///< column heads
    bool colors = false;
};

/// Control characters become '?'.
std::string printable(std::string text);
/// A value as one printable word; "-" for null and for no text.
std::string word(const nlohmann::json& value);

/// A state ("running", "failed", "warning", ...) in the colour of what it means; other words as they are.
std::string paint(std::string_view state, const Style& style);

using Row = std::vector<std::string>;
/// The words of these keys; the one of "state" is painted.
Row row(const nlohmann::json& entry, std::initializer_list<const char*> keys, const Style& style = {});
/// Columns as wide as their widest cell; the last one is not padded. The first row has the heads, which go without a
/// legend.
std::string table(const std::vector<Row>& rows, const Style& style = {});
/// Characters that `text` takes on a terminal, colours aside.
std::size_t width_of(std::string_view text);
/// What fits into `columns`, the end marked when something is left out. Of text without colours.
std::string cut(std::string_view text, std::size_t columns);

/// Seconds as "12s", "5min 3s", "2h 1min", "3d 4h".
std::string span(std::uint64_t seconds);
/// Bytes as "512", "1.5K", "20.0M", "3.1G".
std::string amount(double bytes);
/// A time of CLOCK_REALTIME as local date and time; "-" for 0.
std::string date_of(std::uint64_t usec);

} // namespace fastrpc::ctl
