// What kind of thing a line in the journal tells of: its MESSAGE_ID, one random number per kind, never used for
// another.
//
// By these the catalog explains a line, and whoever reads the audit finds its lines without reading their text. Lines
// of decisions also have, as far as they are known: FASTRPC_UID, FASTRPC_LABEL (of the Linux security module),
// FASTRPC_DOMAIN, FASTRPC_PD, FASTRPC_RULE, FASTRPC_RULE_FILE ("path:line"), FASTRPC_REVISION (of the policy, 16 hex
// digits), FASTRPC_DECISION (allow, deny or ask), FASTRPC_GRANT ("lanes=4 memory=..."), FASTRPC_SESSION,
// FASTRPC_METHOD (of an administrator) and FASTRPC_COUNT (of lines held back).
#pragma once

#include <array>
#include <string_view>

namespace fastrpc::message_id {

/// OpenSession was granted and the session is open.
inline constexpr std::string_view session_allowed = "42a7a3fc20d045838c02d6a63a786a61";
/// OpenSession was denied by the policy, or by who was asked.
inline constexpr std::string_view session_denied = "ea510d387ac54a12b95a8978ee7ce77b";
/// A rule wants somebody to be asked, and the question is on its way.
inline constexpr std::string_view session_asked = "3dfa6f5bb5944202ac39556bce09da19";
/// OpenSession was granted, and then there was no room or no DSP.
inline constexpr std::string_view session_failed = "03e68ac8ff84414bab811a57958851f3";
/// An open session was ended because the policy would not grant it any more.
inline constexpr std::string_view session_ended = "e6731ff0a6ca4ce4bc563b35e40aca6a";
/// An administrator's method was allowed.
inline constexpr std::string_view admin_allowed = "d40ba9b2e7cd483ebbde399fb84b01d6";
/// An administrator's method was denied.
inline constexpr std::string_view admin_denied = "24f7e8e88ff1471bbd77cb0e6808fa53";
/// So many more lines of one of these kinds were held back.
inline constexpr std::string_view repeated = "3cda745443df4fe998d6b63abf891016";
/// A policy is in force.
inline constexpr std::string_view policy_loaded = "8d965fdb98924a87aeb45735c7ec8e10";
/// A policy was not put in force.
inline constexpr std::string_view policy_broken = "2fcb9a182afa44119e76bea2fb1fd251";

/// Those that tell of a decision.
inline constexpr std::array<std::string_view, 8> decisions{session_allowed, session_denied, session_asked,
                                                           session_failed,  session_ended,  admin_allowed,
                                                           admin_denied,    repeated};

} // namespace fastrpc::message_id
