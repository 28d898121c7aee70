// The answers of queries.hpp for people. Whatever came from a host or client is made printable first, so that it cannot
// drive the terminal.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace fastrpc::ctl {

std::string list_text(const nlohmann::json& list);
std::string status_text(const nlohmann::json& status);
std::string reload_text(const nlohmann::json& answer);
std::string domains_text(const nlohmann::json& answer);
std::string domain_text(const nlohmann::json& domain);
std::string pds_text(const nlohmann::json& answer);
std::string pd_text(const nlohmann::json& pd);
/// The first line of pd_text().
std::string pd_line(const nlohmann::json& pd);
std::string explain_text(const nlohmann::json& answer);

} // namespace fastrpc::ctl
