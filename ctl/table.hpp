// Words and columns: every value of a host or client goes through word() or printable(), so none drives the terminal.
#pragma once

#include <initializer_list>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace fastrpc::ctl {

/// Control characters become '?'.
std::string printable(std::string text);
/// A value as one printable word; "-" for null and for no text.
std::string word(const nlohmann::json& value);

using Row = std::vector<std::string>;
/// The words of these keys.
Row row(const nlohmann::json& entry, std::initializer_list<const char*> keys);
/// Columns as wide as their widest cell; the last one is not padded. At least one row.
std::string table(const std::vector<Row>& rows);

} // namespace fastrpc::ctl
