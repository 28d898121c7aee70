// The things that fastrpcctl finds out, as JSON. The keys are stable: more may come, none goes.
//
// list     {"domains": [{"name", "kind", "index", "state", "generation", "backend", "profile", "nodes": [],
//                        "sessions-used", "sessions-max", "contexts-max", "contexts-reserved", "contexts-granted",
//                        "contexts-lost", "last-crash-usec", "last-crash-reason", "unsigned", "problems": []}],
//           "pds": [{"domain", "pd", "static", "state", "reason", "generation", "restarts", "pid", "node",
//                    "opened-usec", "unit", "files-served", "bytes-served", "files-missing", "last-missing", "usage"}],
//           "sessions": [{"id", "domain", "pd", "state", "uid", "owner", "label", "opened-usec", "pid", "rule",
//                         "policy-revision", "generation", "limits": {}, "usage"}],
//           "queue": [{"domain", "uid", "user", "waited-ms", "position"}], who waits for a DSP,
//           "totals": {"sessions-opened", "sessions-refused", "calls", "failed-calls", "bytes", "reverse-calls",
//                      "files-served", "bytes-served", "files-missing", "charged-sessions", "charged-slots",
//                      "charged-lanes", "charged-uid-lanes", "charged-bytes", "charged-fds", "opening", "queued"}}
//          Only the caller's own sessions and waits, or all of them for root. "usage" is null when the host did not
//          answer, else
//          {"calls", "failed-calls", "bytes", "reverse-calls", "files-served", "bytes-served", "files-missing",
//           "last-missing", "lanes", "buffers", "mapped-bytes", "p50-us", "p99-us", "in-flight"}
// status   {"running": true, "version", "state", "policy-revision", "policy-problem", "features": [],
//           "domains": [as above], "pds": [as above, without "usage"], "sessions": how many the caller may see}
//          or {"running": false, "error"}
// domain list      {"domains": [as above]}
// domain status    a domain as above, and "capabilities": {name: number} (those that a host could read), "pds": [as
//                  above], "hints": [what to do, one line each]
// session list     {"sessions": [as above, without "usage"]}
// session status   one of them, with "usage"
// explain  {"uid", "domain", "pd", "allowed", "rule", "file", "line", "reason", "fix", "ask", "near": [], "near-count",
//           "change-file", "change", "limits": {}}
//          "uid" is null for oneself; "limits" is empty when denied. "ask": polkit decides. "near" are rules that
//          but for one condition would have decided, "change" is the text of a policy file that would allow it.
#pragma once

#include "ctl/bus_client.hpp"

namespace fastrpc::ctl {

Result<json> query_list(BusClient& client);
Result<json> query_status(BusClient& client);
/// {"policy-revision", "warnings": []}; root, or with polkit's leave.
Result<json> reload_policy(BusClient& client);
Result<json> query_domains(BusClient& client);
/// ErrorKind::not_found names the domains that there are.
Result<json> query_domain(BusClient& client, const std::string& name);
/// With `usage` each session's host is asked for its figures.
Result<json> query_sessions(BusClient& client, bool usage);
/// ErrorKind::not_found when the caller may not see it either.
Result<json> query_session(BusClient& client, const std::string& id);
/// Ends a session: one's own, or any as root or with polkit's leave. Answered when its host was told.
Status terminate_session(BusClient& client, const std::string& id);
Result<json> query_explain(BusClient& client, const Request& request);

/// The account with all its groups, from the user database. `user` is a name or a number.
Result<Account> find_account(const std::string& user);

} // namespace fastrpc::ctl
