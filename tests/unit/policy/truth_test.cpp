// The truth table: each kind of subject, PD and DSP with the rule that decides and the attributes that the PD gets.
//
// One line per subject and PD kind, one column per DSP; every cell is a request. Its word:
//   x           the DSP has no such PD, whatever the rules say
//   .           denied, as no rule is about it
//   !rule       denied by that rule
//   rule+dpc    allowed by that rule, with these attributes and no others
// Attributes: d debug, p ptrace, c crc, a adaptive-qos, s system-process, v privileged; of the PD kind itself:
// u unsigned-module, y system-unsigned-pd.
#include "truth.hpp"

#include <pwd.h>
#include <sstream>

using namespace fastrpc;
using namespace fastrpc::test;

namespace {

constexpr const char* rules = R"({"rules": [
{"name": "ban", "priority": 100, "subject": {"users": [6666]}, "effect": "deny",
 "domains": ["adsp", "mdsp", "sdsp", "cdsp", "cdsp1", "gdsp0", "gdsp1"],
 "kinds": ["unsigned", "signed", "system-unsigned", "root", "audio", "sensors"]},
{"name": "calm", "priority": 50, "subject": {"groups": [300]}, "effect": "deny", "domains": ["cdsp1", "gdsp1"],
 "kinds": ["unsigned", "signed", "system-unsigned", "root", "audio", "sensors"]},
{"name": "dev", "priority": 10, "subject": {"users": [1000], "groups": [200]}, "effect": "allow",
 "domains": ["cdsp", "cdsp1"], "kinds": ["unsigned", "signed"], "attributes": ["debug", "ptrace", "crc"]},
{"name": "root", "subject": {"users": [0]}, "effect": "allow", "attributes": ["privileged", "system-process"],
 "domains": ["adsp", "mdsp", "sdsp", "cdsp", "cdsp1", "gdsp0", "gdsp1"], "kinds": ["root"]},
{"name": "aud", "subject": {"users": [41]}, "effect": "allow", "domains": ["adsp"], "kinds": ["audio"]},
{"name": "sens", "subject": {"users": [42]}, "effect": "allow", "domains": ["adsp", "sdsp"], "kinds": ["sensors"],
 "attributes": ["adaptive-qos"]},
{"name": "app", "subject": {"users": [1000]}, "effect": "allow", "domains": ["cdsp"], "kinds": ["signed"]},
{"name": "name", "subject": {"users": ["daemon"]}, "effect": "allow", "domains": ["mdsp"], "kinds": ["signed"],
 "attributes": ["crc"]},
{"name": "box", "subject": {"users": ["2000-2999"]}, "effect": "allow", "domains": ["unsigned-capable"],
 "kinds": ["unsigned"], "attributes": ["crc"]},
{"name": "fast", "subject": {"groups": [100]}, "effect": "allow", "domains": ["unsigned-capable"],
 "kinds": ["unsigned"]},
{"name": "sys", "subject": {"groups": [101]}, "effect": "allow", "domains": ["adsp", "unsigned-capable"],
 "kinds": ["system-unsigned"], "attributes": ["system-process"]},
{"name": "rest", "priority": -1000, "subject": {"any": true}, "effect": "deny", "domains": ["adsp", "cdsp"],
 "kinds": ["unsigned", "signed", "system-unsigned", "root", "audio", "sensors"]}
]})";

// After each "UID GIDS": PD kind, then adsp, mdsp, sdsp, cdsp, cdsp1, gdsp0, gdsp1.
constexpr const char* truth = R"(
# root, who is nobody special but for one rule
0 0
  unsigned        x        x        x        !rest    .        .        .
  signed          !rest    .        .        !rest    .        .        .
  system-unsigned x        x        x        !rest    .        .        .
  root            root+sv  root+sv  root+sv  root+sv  root+sv  root+sv  root+sv
  audio           !rest    .        .        !rest    .        .        .
  sensors         !rest    .        .        !rest    .        .        .
# nobody
65534 65534
  unsigned        x        x        x        !rest    .        .        .
  signed          !rest    .        .        !rest    .        .        .
  system-unsigned x        x        x        !rest    .        .        .
  root            !rest    .        .        !rest    .        .        .
  audio           !rest    .        .        !rest    .        .        .
  sensors         !rest    .        .        !rest    .        .        .
# a user that a rule names by uid
1000 1000
  unsigned        x        x        x        !rest    .        .        .
  signed          !rest    .        .        app      .        .        .
  system-unsigned x        x        x        !rest    .        .        .
  root            !rest    .        .        !rest    .        .        .
  audio           !rest    .        .        !rest    .        .        .
  sensors         !rest    .        .        !rest    .        .        .
# a user and a group, both named
1000 1000,200
  unsigned        x        x        x        dev+dpcu dev+dpcu .        .
  signed          !rest    .        .        dev+dpc  dev+dpc  .        .
  system-unsigned x        x        x        !rest    .        .        .
  root            !rest    .        .        !rest    .        .        .
  audio           !rest    .        .        !rest    .        .        .
  sensors         !rest    .        .        !rest    .        .        .
# the same, and the group of another rule
1000 1000,200,100
  unsigned        x        x        x        dev+dpcu dev+dpcu fast+u   fast+u
  signed          !rest    .        .        dev+dpc  dev+dpc  .        .
  system-unsigned x        x        x        !rest    .        .        .
  root            !rest    .        .        !rest    .        .        .
  audio           !rest    .        .        !rest    .        .        .
  sensors         !rest    .        .        !rest    .        .        .
# the group alone, where user and group are wanted
1001 200
  unsigned        x        x        x        !rest    .        .        .
  signed          !rest    .        .        !rest    .        .        .
  system-unsigned x        x        x        !rest    .        .        .
  root            !rest    .        .        !rest    .        .        .
  audio           !rest    .        .        !rest    .        .        .
  sensors         !rest    .        .        !rest    .        .        .
# first of a range
2000 2000
  unsigned        x        x        x        box+cu   box+cu   box+cu   box+cu
  signed          !rest    .        .        !rest    .        .        .
  system-unsigned x        x        x        !rest    .        .        .
  root            !rest    .        .        !rest    .        .        .
  audio           !rest    .        .        !rest    .        .        .
  sensors         !rest    .        .        !rest    .        .        .
# last of a range
2999 2999
  unsigned        x        x        x        box+cu   box+cu   box+cu   box+cu
  signed          !rest    .        .        !rest    .        .        .
  system-unsigned x        x        x        !rest    .        .        .
  root            !rest    .        .        !rest    .        .        .
  audio           !rest    .        .        !rest    .        .        .
  sensors         !rest    .        .        !rest    .        .        .
# one below the range
1999 1999
  unsigned        x        x        x        !rest    .        .        .
  signed          !rest    .        .        !rest    .        .        .
  system-unsigned x        x        x        !rest    .        .        .
  root            !rest    .        .        !rest    .        .        .
  audio           !rest    .        .        !rest    .        .        .
  sensors         !rest    .        .        !rest    .        .        .
# one above the range
3000 3000
  unsigned        x        x        x        !rest    .        .        .
  signed          !rest    .        .        !rest    .        .        .
  system-unsigned x        x        x        !rest    .        .        .
  root            !rest    .        .        !rest    .        .        .
  audio           !rest    .        .        !rest    .        .        .
  sensors         !rest    .        .        !rest    .        .        .
# of the range, and of a group that is kept off two DSPs
2500 300
  unsigned        x        x        x        box+cu   !calm    box+cu   !calm
  signed          !rest    .        .        !rest    !calm    .        !calm
  system-unsigned x        x        x        !rest    !calm    .        !calm
  root            !rest    .        .        !rest    !calm    .        !calm
  audio           !rest    .        .        !rest    !calm    .        !calm
  sensors         !rest    .        .        !rest    !calm    .        !calm
# member of a group
5000 5000,100
  unsigned        x        x        x        fast+u   fast+u   fast+u   fast+u
  signed          !rest    .        .        !rest    .        .        .
  system-unsigned x        x        x        !rest    .        .        .
  root            !rest    .        .        !rest    .        .        .
  audio           !rest    .        .        !rest    .        .        .
  sensors         !rest    .        .        !rest    .        .        .
# member of the group for system-unsigned PDs
5001 101
  unsigned        x        x        x        !rest    .        .        .
  signed          !rest    .        .        !rest    .        .        .
  system-unsigned x        x        x        sys+suy  sys+suy  sys+suy  sys+suy
  root            !rest    .        .        !rest    .        .        .
  audio           !rest    .        .        !rest    .        .        .
  sensors         !rest    .        .        !rest    .        .        .
# member of both
5002 100,101
  unsigned        x        x        x        fast+u   fast+u   fast+u   fast+u
  signed          !rest    .        .        !rest    .        .        .
  system-unsigned x        x        x        sys+suy  sys+suy  sys+suy  sys+suy
  root            !rest    .        .        !rest    .        .        .
  audio           !rest    .        .        !rest    .        .        .
  sensors         !rest    .        .        !rest    .        .        .
# member of a group, and of the one that is kept off
5003 100,300
  unsigned        x        x        x        fast+u   !calm    fast+u   !calm
  signed          !rest    .        .        !rest    !calm    .        !calm
  system-unsigned x        x        x        !rest    !calm    .        !calm
  root            !rest    .        .        !rest    !calm    .        !calm
  audio           !rest    .        .        !rest    !calm    .        !calm
  sensors         !rest    .        .        !rest    !calm    .        !calm
# banned, whatever groups he is in
6666 6666,100,101,200
  unsigned        x        x        x        !ban     !ban     !ban     !ban
  signed          !ban     !ban     !ban     !ban     !ban     !ban     !ban
  system-unsigned x        x        x        !ban     !ban     !ban     !ban
  root            !ban     !ban     !ban     !ban     !ban     !ban     !ban
  audio           !ban     !ban     !ban     !ban     !ban     !ban     !ban
  sensors         !ban     !ban     !ban     !ban     !ban     !ban     !ban
# the user of the audio PD
41 41
  unsigned        x        x        x        !rest    .        .        .
  signed          !rest    .        .        !rest    .        .        .
  system-unsigned x        x        x        !rest    .        .        .
  root            !rest    .        .        !rest    .        .        .
  audio           aud      .        .        !rest    .        .        .
  sensors         !rest    .        .        !rest    .        .        .
# the user of the sensors PDs
42 42
  unsigned        x        x        x        !rest    .        .        .
  signed          !rest    .        .        !rest    .        .        .
  system-unsigned x        x        x        !rest    .        .        .
  root            !rest    .        .        !rest    .        .        .
  audio           !rest    .        .        !rest    .        .        .
  sensors         sens+a   .        sens+a   !rest    .        .        .
# a user by name
daemon 5
  unsigned        x        x        x        !rest    .        .        .
  signed          !rest    name+c   .        !rest    .        .        .
  system-unsigned x        x        x        !rest    .        .        .
  root            !rest    .        .        !rest    .        .        .
  audio           !rest    .        .        !rest    .        .        .
  sensors         !rest    .        .        !rest    .        .        .
# numbers of users as groups, and of groups as users
100 1000,2000,0,41,42,6666
  unsigned        x        x        x        !rest    .        .        .
  signed          !rest    .        .        !rest    .        .        .
  system-unsigned x        x        x        !rest    .        .        .
  root            !rest    .        .        !rest    .        .        .
  audio           !rest    .        .        !rest    .        .        .
  sensors         !rest    .        .        !rest    .        .        .
# another of them
200 1,1000
  unsigned        x        x        x        !rest    .        .        .
  signed          !rest    .        .        !rest    .        .        .
  system-unsigned x        x        x        !rest    .        .        .
  root            !rest    .        .        !rest    .        .        .
  audio           !rest    .        .        !rest    .        .        .
  sensors         !rest    .        .        !rest    .        .        .
# no id at all
4294967295 4294967295
  unsigned        x        x        x        !rest    .        .        .
  signed          !rest    .        .        !rest    .        .        .
  system-unsigned x        x        x        !rest    .        .        .
  root            !rest    .        .        !rest    .        .        .
  audio           !rest    .        .        !rest    .        .        .
  sensors         !rest    .        .        !rest    .        .        .
)";

using TruthTable = PolicyFiles;

Subject subject_of(const std::string& user, const std::string& gids) {
    Subject subject;
    const passwd* account = user[0] >= '0' && user[0] <= '9' ? nullptr : ::getpwnam(user.c_str());
    subject.uid = account != nullptr ? account->pw_uid : static_cast<std::uint32_t>(std::stoul(user));
    std::istringstream list(gids);
    for (std::string gid; std::getline(list, gid, ',');)
        subject.gids.push_back(static_cast<std::uint32_t>(std::stoul(gid)));
    return subject;
}

} // namespace

TEST_F(TruthTable, every_subject_gets_on_every_dsp_what_is_written_here) {
    const Policy policy = good(rules);
    std::istringstream lines(truth);
    Subject subject;
    std::string who;
    int requests = 0;
    for (std::string line; std::getline(lines, line);) {
        if (line.empty()) continue;
        if (line[0] == '#') {
            who = line;
            continue;
        }
        std::istringstream words(line);
        std::string first;
        words >> first;
        if (line[0] != ' ') {
            std::string gids;
            words >> gids;
            subject = subject_of(first, gids);
            continue;
        }
        const auto kind = pd_kind_from(first);
        ASSERT_TRUE(kind) << line;
        for (const Domain domain : all_domains) {
            std::string expected;
            ASSERT_TRUE(words >> expected) << line;
            const Decision decision = policy.decide(subject, {domain, *kind});
            EXPECT_EQ(word_of(decision), expected)
                << who << ", " << first << " on " << to_string(domain) << ": " << decision.reason;
            EXPECT_EQ(decision.grant == Grant{}, !decision.allowed);
            ++requests;
        }
    }
    EXPECT_GE(requests, 400);
}
