// The things that fastrpcctl finds out, as JSON. The keys are stable: more may come, none goes.
//
// list     {"domains": [{"name", "kind", "index", "state", "generation", "backend", "profile", "nodes": [],
//                        "sessions-used", "sessions-max", "contexts-max", "contexts-reserved", "contexts-granted",
//                        "contexts-lost", "last-crash-usec", "last-crash-reason", "unsigned", "problems": []}],
//           "pds": [{"domain", "pd", "static", "state", "reason", "generation", "restarts", "pid", "node",
//                    "opened-usec", "unit", "files-served", "bytes-served", "files-missing", "last-missing", "usage"}],
//           "sessions": [{"id", "domain", "pd", "state", "uid", "owner", "label", "opened-usec", "pid", "rule",
//                         "generation", "limits": {}, "usage"}],
//           "queue": [{"domain", "uid", "user", "waited-ms", "position"}], who waits for a DSP,
//           "totals": {"sessions-opened", "sessions-refused", "calls", "failed-calls", "bytes", "reverse-calls",
//                      "files-served", "bytes-served", "files-missing", "charged-sessions", "charged-slots",
//                      "charged-lanes", "charged-uid-lanes", "charged-bytes", "charged-fds", "opening", "queued"}}
//          Only the caller's own sessions and waits, or all of them for root. "usage" is null when the host did not
//          answer, else
//          {"calls", "failed-calls", "bytes", "reverse-calls", "files-served", "bytes-served", "files-missing",
//           "last-missing", "lanes", "buffers", "mapped-bytes", "p50-us", "p99-us", "in-flight"}
// status   {"running": true, "version", "state", "policy-revision", "policy-problem", "features": [], "domains": [as
// above]}
//          or {"running": false, "error"}
// domain list      {"domains": [as above]}
// domain status    a domain as above, and "capabilities": {name: number} (those that a host could read), "pds": [as
//                  above], "hints": [what to do, one line each]
// explain  {"uid", "domain", "pd", "allowed", "rule", "file", "line", "reason", "fix", "limits": {}}
//          "uid" is null for oneself; "limits" is empty when denied.
#pragma once

#include "ctl/bus_client.hpp"

namespace fastrpc::ctl {

Result<json> query_list(BusClient& client);
Result<json> query_status(BusClient& client);
/// {"policy-revision", "warnings": []}; root only.
Result<json> reload_policy(BusClient& client);
Result<json> query_domains(BusClient& client);
/// ErrorKind::not_found names the domains that there are.
Result<json> query_domain(BusClient& client, const std::string& name);
Result<json> query_explain(BusClient& client, const std::string& domain, const std::string& pd, const Account* account);

/// The account with all its groups, from the user database. `user` is a name or a number.
Result<Account> find_account(const std::string& user);

} // namespace fastrpc::ctl
