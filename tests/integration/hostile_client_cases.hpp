// What a hostile client does to its session, and what must come of it: one line per case (ipc/frame.hpp, ipc/lane.hpp,
// D-Bus's OpenSession).
//
// A case gets a client of its own, whose session is made when it is first used, and tells what it got as raw_client.hpp
// does. What a case may not change is not said here: hostile_client_test.cpp looks at it after each.
#pragma once

#include "tests/integration/raw_client.hpp"

#include <functional>
#include <string>
#include <vector>

namespace fastrpc::test {

struct ClientCase {
    std::string name;
    std::string wanted;
    std::function<std::string(RawClient&)> attack;
};
using ClientCases = std::vector<ClientCase>;

// hostile_client_frames.cpp: datagrams whose form is wrong.
ClientCases wrong_headers();  ///< each field of the header at its bounds, on the session socket and on a lane
ClientCases wrong_opcodes();  ///< requests that there are not, or that belong elsewhere
ClientCases wrong_payloads(); ///< cut, overlong and surplus, of each request

// hostile_client_fds.cpp: fds of every wrong kind, too many, and where none belong.
ClientCases wrong_fds();
ClientCases surplus_fds();

// hostile_client_fuse.cpp: files of file systems that wait for somebody.
ClientCases silent_file_systems();

// hostile_client_numbers.cpp: well-formed requests with numbers that nobody may have.
ClientCases wrong_buffers(); ///< sizes, ids, and more than was granted
ClientCases wrong_modules(); ///< URIs and handles
ClientCases wrong_calls();   ///< scalars, lengths and deadlines
ClientCases wrong_ranges();  ///< of buffers: foreign, freed, wrapping, overlapping

// hostile_client_ways.cpp: clients that do right things in a wrong way.
ClientCases bad_readers();  ///< half-closed, silent, slow, deaf
ClientCases bad_sharers();  ///< forks, lanes to the limit, calls that are left behind
ClientCases bad_programs(); ///< of the client's own on its PD

// hostile_client_offers.cpp: what a session has beside buffers and lanes.
ClientCases wrong_maps();         ///< of buffers, and handles among the arguments
ClientCases wrong_offers();       ///< events, and interfaces of the client's own
ClientCases wrong_shared_lanes(); ///< frames and bells in memory that the client may change at any time

// hostile_client_bus.cpp: OpenSession with whatever D-Bus lets through, and floods of it.
ClientCases wrong_opens();
ClientCases wrong_options();
ClientCases floods();

} // namespace fastrpc::test
