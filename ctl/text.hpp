// The answers of queries.hpp for people. Whatever came from a host or client is made printable first, so that it cannot
// drive the terminal.
#pragma once

#include "ctl/table.hpp"

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace fastrpc::ctl {

std::string list_text(const nlohmann::json& list, const Style& style);
std::string status_text(const nlohmann::json& status, const Style& style);
std::string reload_text(const nlohmann::json& answer, const Style& style);
std::string domains_text(const nlohmann::json& answer, const Style& style);
std::string domain_text(const nlohmann::json& domain, const Style& style);
std::string pds_text(const nlohmann::json& answer, const Style& style);
std::string pd_text(const nlohmann::json& pd, const Style& style);
/// The first line of pd_text().
std::string pd_line(const nlohmann::json& pd, const Style& style);
std::string sessions_text(const nlohmann::json& answer, const Style& style);
std::string session_text(const nlohmann::json& session, const Style& style);
std::string explain_text(const nlohmann::json& answer, const Style& style);

} // namespace fastrpc::ctl
