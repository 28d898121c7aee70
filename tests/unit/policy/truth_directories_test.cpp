// The third truth table: each kind of subject on both kinds of node, by the number of directories that it brings. Its
// words are those of truth_asked_test.cpp.
#include "truth.hpp"

using namespace fastrpc;
using namespace fastrpc::test;

namespace {

constexpr const char* rules = R"({"rules": [
{"name": "hole", "priority": 100, "subject": {"any": true}, "effect": "deny", "domains": ["cdsp"],
 "kinds": ["unsigned"], "nodes": ["accel"]},
{"name": "dev", "priority": 10, "subject": {"users": [1000], "groups": [200]}, "effect": "allow", "domains": ["cdsp"],
 "kinds": ["unsigned", "signed"], "attributes": ["crc"], "limits": {"directories": 8}},
{"name": "app", "subject": {"labels": ["app_t*"]}, "effect": "allow", "domains": ["cdsp"],
 "kinds": ["unsigned", "signed"], "nodes": ["misc"], "limits": {"directories": 0}},
{"name": "fast", "subject": {"groups": [100]}, "effect": "allow", "domains": ["cdsp"], "kinds": ["unsigned"]},
{"name": "more", "priority": -5, "subject": {"groups": [100]}, "effect": "ask", "domains": ["cdsp"],
 "kinds": ["unsigned"], "narrows": false, "limits": {"directories": 3}},
{"name": "one", "priority": -9, "subject": {"users": ["2000-2999"]}, "effect": "allow", "domains": ["cdsp"],
 "kinds": ["signed"], "limits": {"lanes": 9, "directories": 1}}
]})";

constexpr std::array counts{0U, 1U, 2U, 3U, 4U, 8U};

// After each "UID GID LABEL": PD kind, then misc | accel, each with none of its own directories, one, 2, 3, 4, and 8.
constexpr const char* truth = R"(
# root
0 - -
  unsigned .       .       .       .       .       .       | !hole   !hole   !hole   !hole   !hole   !hole
  signed   .       .       .       .       .       .       | .       .       .       .       .       .
# a developer: user and group
1000 200 -
  unsigned dev+cu  dev+cu  dev+cu  dev+cu  dev+cu  dev+cu  | !hole   !hole   !hole   !hole   !hole   !hole
  signed   dev+c   dev+c   dev+c   dev+c   dev+c   dev+c   | dev+c   dev+c   dev+c   dev+c   dev+c   dev+c
# that user in the other group
1000 100 -
  unsigned fast+u  fast+u  ?more+u ?more+u .       .       | !hole   !hole   !hole   !hole   !hole   !hole
  signed   .       .       .       .       .       .       | .       .       .       .       .       .
# an app by its label, which may bring none
3000 - app_t:s0
  unsigned app+u   .       .       .       .       .       | !hole   !hole   !hole   !hole   !hole   !hole
  signed   app     .       .       .       .       .       | .       .       .       .       .       .
# member of a group, whose rule says nothing about directories and whose other rule asks about more
5000 100 -
  unsigned fast+u  fast+u  ?more+u ?more+u .       .       | !hole   !hole   !hole   !hole   !hole   !hole
  signed   .       .       .       .       .       .       | .       .       .       .       .       .
# member of that group, in the app
5000 100 app_t
  unsigned app+u   fast+u  ?more+u ?more+u .       .       | !hole   !hole   !hole   !hole   !hole   !hole
  signed   app     .       .       .       .       .       | .       .       .       .       .       .
# a container
2500 - -
  unsigned .       .       .       .       .       .       | !hole   !hole   !hole   !hole   !hole   !hole
  signed   one     one     .       .       .       .       | one     one     .       .       .       .
# a container's user, in the app
2500 - app_t
  unsigned app+u   .       .       .       .       .       | !hole   !hole   !hole   !hole   !hole   !hole
  signed   app     one     .       .       .       .       | one     one     .       .       .       .
)";

using TruthTable = PolicyFiles;

} // namespace

TEST_F(TruthTable, every_number_of_directories_gets_what_is_written_here) {
    const Policy policy = good(rules);
    std::size_t requests = 0;
    each_line(truth, [&](const Subject& subject, PdKind kind, std::istream& words, const std::string& line) {
        for (const NodeKind node : {NodeKind::misc, NodeKind::accel}) {
            for (const std::uint32_t count : counts) {
                std::string expected;
                ASSERT_TRUE(words >> expected) << line;
                const Object object{.domain = Domain::cdsp, .kind = kind, .directories = count, .node = node};
                const Decision decision = policy.decide(subject, object);
                EXPECT_EQ(word_of(decision), expected)
                    << "uid " << subject.uid << " " << subject.label << ": " << line << "\n"
                    << count << " directories: " << decision.reason;
                EXPECT_EQ(policy.allows(subject, object), decision.allowed);
                if (decision.allowed || decision.ask) {
                    EXPECT_GE(decision.grant.limits.directories, count);
                }
                ++requests;
            }
            std::string bar;
            words >> bar;
        }
    });
    EXPECT_EQ(requests, 8U * 2 * 2 * counts.size());
}
