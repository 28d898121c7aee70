// The second truth table: each kind of subject and PD on each kind of node, by the attributes that are asked for. Its
// words are those of truth_test.cpp, and ?rule+dpc where polkit is asked.
#include "truth.hpp"

using namespace fastrpc;
using namespace fastrpc::test;

namespace {

constexpr const char* rules = R"({"rules": [
{"name": "hole", "priority": 100, "subject": {"any": true}, "effect": "deny", "domains": ["cdsp"],
 "kinds": ["unsigned", "system-unsigned"], "nodes": ["accel"]},
{"name": "dev", "priority": 10, "subject": {"users": [1000], "groups": [200]}, "effect": "allow", "domains": ["cdsp"],
 "kinds": ["unsigned", "signed"], "attributes": ["debug", "crc"]},
{"name": "app", "subject": {"labels": ["app_t*"]}, "effect": "allow", "domains": ["cdsp"],
 "kinds": ["unsigned", "signed"], "nodes": ["misc"]},
{"name": "box", "subject": {"users": ["2000-2999"]}, "effect": "allow", "domains": ["cdsp"], "kinds": ["unsigned"],
 "attributes": ["crc"]},
{"name": "fast", "subject": {"groups": [100]}, "effect": "allow", "domains": ["cdsp"], "kinds": ["unsigned"]},
{"name": "dbg", "priority": -5, "subject": {"groups": [100]}, "effect": "ask", "domains": ["cdsp"],
 "kinds": ["unsigned", "signed"], "attributes": ["debug"]},
{"name": "root", "subject": {"users": [0]}, "effect": "allow", "domains": ["cdsp"], "kinds": ["root"],
 "nodes": ["misc"], "attributes": ["privileged"]},
{"name": "rest", "priority": -1000, "subject": {"any": true}, "effect": "deny", "domains": ["cdsp"],
 "kinds": ["audio", "sensors"]}
]})";

// After each "UID GID LABEL": PD kind, then misc | accel | a node that is not known, each asked for no attributes, crc,
// debug, and both.
constexpr const char* truth = R"(
# root
0 - -
  unsigned        .        .        .        .        | !hole    !hole    !hole    !hole    | !hole    !hole    !hole    !hole
  signed          .        .        .        .        | .        .        .        .        | .        .        .        .
  system-unsigned .        .        .        .        | !hole    !hole    !hole    !hole    | !hole    !hole    !hole    !hole
  root            root+v   .        .        .        | .        .        .        .        | .        .        .        .
  audio           !rest    !rest    !rest    !rest    | !rest    !rest    !rest    !rest    | !rest    !rest    !rest    !rest
  sensors         !rest    !rest    !rest    !rest    | !rest    !rest    !rest    !rest    | !rest    !rest    !rest    !rest
# nobody
65534 - -
  unsigned        .        .        .        .        | !hole    !hole    !hole    !hole    | !hole    !hole    !hole    !hole
  signed          .        .        .        .        | .        .        .        .        | .        .        .        .
  system-unsigned .        .        .        .        | !hole    !hole    !hole    !hole    | !hole    !hole    !hole    !hole
  root            .        .        .        .        | .        .        .        .        | .        .        .        .
  audio           !rest    !rest    !rest    !rest    | !rest    !rest    !rest    !rest    | !rest    !rest    !rest    !rest
  sensors         !rest    !rest    !rest    !rest    | !rest    !rest    !rest    !rest    | !rest    !rest    !rest    !rest
# a developer: user and group
1000 200 -
  unsigned        dev+dcu  dev+dcu  dev+dcu  dev+dcu  | !hole    !hole    !hole    !hole    | !hole    !hole    !hole    !hole
  signed          dev+dc   dev+dc   dev+dc   dev+dc   | dev+dc   dev+dc   dev+dc   dev+dc   | dev+dc   dev+dc   dev+dc   dev+dc
  system-unsigned .        .        .        .        | !hole    !hole    !hole    !hole    | !hole    !hole    !hole    !hole
  root            .        .        .        .        | .        .        .        .        | .        .        .        .
  audio           !rest    !rest    !rest    !rest    | !rest    !rest    !rest    !rest    | !rest    !rest    !rest    !rest
  sensors         !rest    !rest    !rest    !rest    | !rest    !rest    !rest    !rest    | !rest    !rest    !rest    !rest
# an app by its label
3000 - app_t:s0
  unsigned        app+u    .        .        .        | !hole    !hole    !hole    !hole    | !hole    !hole    !hole    !hole
  signed          app      .        .        .        | .        .        .        .        | .        .        .        .
  system-unsigned .        .        .        .        | !hole    !hole    !hole    !hole    | !hole    !hole    !hole    !hole
  root            .        .        .        .        | .        .        .        .        | .        .        .        .
  audio           !rest    !rest    !rest    !rest    | !rest    !rest    !rest    !rest    | !rest    !rest    !rest    !rest
  sensors         !rest    !rest    !rest    !rest    | !rest    !rest    !rest    !rest    | !rest    !rest    !rest    !rest
# a container
2500 - -
  unsigned        box+cu   box+cu   .        .        | !hole    !hole    !hole    !hole    | !hole    !hole    !hole    !hole
  signed          .        .        .        .        | .        .        .        .        | .        .        .        .
  system-unsigned .        .        .        .        | !hole    !hole    !hole    !hole    | !hole    !hole    !hole    !hole
  root            .        .        .        .        | .        .        .        .        | .        .        .        .
  audio           !rest    !rest    !rest    !rest    | !rest    !rest    !rest    !rest    | !rest    !rest    !rest    !rest
  sensors         !rest    !rest    !rest    !rest    | !rest    !rest    !rest    !rest    | !rest    !rest    !rest    !rest
# member of a group
5000 100 -
  unsigned        fast+u   .        ?dbg+du  .        | !hole    !hole    !hole    !hole    | !hole    !hole    !hole    !hole
  signed          ?dbg+d   .        ?dbg+d   .        | ?dbg+d   .        ?dbg+d   .        | ?dbg+d   .        ?dbg+d   .
  system-unsigned .        .        .        .        | !hole    !hole    !hole    !hole    | !hole    !hole    !hole    !hole
  root            .        .        .        .        | .        .        .        .        | .        .        .        .
  audio           !rest    !rest    !rest    !rest    | !rest    !rest    !rest    !rest    | !rest    !rest    !rest    !rest
  sensors         !rest    !rest    !rest    !rest    | !rest    !rest    !rest    !rest    | !rest    !rest    !rest    !rest
# member of that group, in the app
5000 100 app_t:s1
  unsigned        app+u    .        ?dbg+du  .        | !hole    !hole    !hole    !hole    | !hole    !hole    !hole    !hole
  signed          app      .        ?dbg+d   .        | ?dbg+d   .        ?dbg+d   .        | ?dbg+d   .        ?dbg+d   .
  system-unsigned .        .        .        .        | !hole    !hole    !hole    !hole    | !hole    !hole    !hole    !hole
  root            .        .        .        .        | .        .        .        .        | .        .        .        .
  audio           !rest    !rest    !rest    !rest    | !rest    !rest    !rest    !rest    | !rest    !rest    !rest    !rest
  sensors         !rest    !rest    !rest    !rest    | !rest    !rest    !rest    !rest    | !rest    !rest    !rest    !rest
# a container, in the app
2500 - app_t
  unsigned        app+u    box+cu   .        .        | !hole    !hole    !hole    !hole    | !hole    !hole    !hole    !hole
  signed          app      .        .        .        | .        .        .        .        | .        .        .        .
  system-unsigned .        .        .        .        | !hole    !hole    !hole    !hole    | !hole    !hole    !hole    !hole
  root            .        .        .        .        | .        .        .        .        | .        .        .        .
  audio           !rest    !rest    !rest    !rest    | !rest    !rest    !rest    !rest    | !rest    !rest    !rest    !rest
  sensors         !rest    !rest    !rest    !rest    | !rest    !rest    !rest    !rest    | !rest    !rest    !rest    !rest
# the app of another label
3000 - xapp_t
  unsigned        .        .        .        .        | !hole    !hole    !hole    !hole    | !hole    !hole    !hole    !hole
  signed          .        .        .        .        | .        .        .        .        | .        .        .        .
  system-unsigned .        .        .        .        | !hole    !hole    !hole    !hole    | !hole    !hole    !hole    !hole
  root            .        .        .        .        | .        .        .        .        | .        .        .        .
  audio           !rest    !rest    !rest    !rest    | !rest    !rest    !rest    !rest    | !rest    !rest    !rest    !rest
  sensors         !rest    !rest    !rest    !rest    | !rest    !rest    !rest    !rest    | !rest    !rest    !rest    !rest
)";

using TruthTable = PolicyFiles;

} // namespace

TEST_F(TruthTable, every_node_and_attribute_gets_what_is_written_here) {
    const Policy policy = good(rules);
    int requests = 0;
    each_line(truth, [&](const Subject& subject, PdKind kind, std::istream& words, const std::string& line) {
        for (const NodeKind node : {NodeKind::misc, NodeKind::accel, NodeKind::unknown}) {
            for (const std::uint32_t attributes :
                 {0U, attribute::crc, attribute::debug, attribute::crc | attribute::debug}) {
                std::string expected;
                ASSERT_TRUE(words >> expected) << line;
                const Object object{.domain = Domain::cdsp, .kind = kind, .attributes = attributes, .node = node};
                const Decision decision = policy.decide(subject, object);
                EXPECT_EQ(word_of(decision), expected)
                    << "uid " << subject.uid << " " << subject.label << ": " << line << "\nnode "
                    << static_cast<int>(node) << ", attributes " << attributes << ": " << decision.reason;
                EXPECT_EQ(policy.allows(subject, object), decision.allowed);
                ++requests;
            }
            std::string bar;
            words >> bar;
        }
    });
    EXPECT_GE(requests, 400);
}
