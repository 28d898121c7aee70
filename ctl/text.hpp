// The answers of queries.hpp for people. Whatever came from a host or client is made printable first, so that it cannot
// drive the terminal.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace fastrpc::ctl {

std::string list_text(const nlohmann::json& list);
std::string status_text(const nlohmann::json& status);
std::string domains_text(const nlohmann::json& answer);
std::string domain_text(const nlohmann::json& domain);
std::string explain_text(const nlohmann::json& answer);

/// Control characters become '?'.
std::string printable(std::string text);

} // namespace fastrpc::ctl
