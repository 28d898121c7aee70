// Static PDs: their list, one of them, and orders to them. Keys of the answers: queries.hpp.
//
// pd list     {"pds": [as in list, without "usage"]}
// pd status   one of those; so are start, stop and restart, as the PD then is
#pragma once

#include "ctl/bus_client.hpp"

#include <chrono>

namespace fastrpc::ctl {

/// The PD at `path` from its D-Bus properties.
json pd_of(const std::string& path, const json& properties);

Result<json> query_pds(BusClient& client);
/// ErrorKind::not_found names the PDs that there are.
Result<json> query_pd(BusClient& client, const std::string& domain, const std::string& pd);

/// `verb`: start, stop or restart. Waits until the PD is as it should be. ErrorKind::denied for anybody but root;
/// timeout with the PD's reason when it is not so after `patience`; lost when it failed.
Result<json> order_pd(BusClient& client, const std::string& verb, const std::string& domain, const std::string& pd,
                      std::chrono::seconds patience);

} // namespace fastrpc::ctl
