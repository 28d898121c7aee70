// A hostile DSP against its host: every case of hostile_cases.hpp is answered with its code, and after each the host
// serves as before and holds no more than before.
#include "tests/integration/hostile_cases.hpp"
#include "tests/integration/hostile_tree.hpp"

#include <atomic>
#include <thread>

using namespace fastrpc;
using namespace fastrpc::test;

namespace {

/// One system for all tests: hosts are what is attacked, and each test begins with one that serves.
class Hostile : public testing::Test {
protected:
    static void SetUpTestSuite() {
        tree = std::make_unique<Scratch>();
        const auto firmware = silent_firmware(*tree);
        make_hostile_tree(*tree);
        system = start_system({.root_hosts = false, .firmware = firmware});
        root = std::make_unique<StaticPd>(*system, "adsp", "root", hostile_definition(*tree));
    }
    static void TearDownTestSuite() {
        root.reset();
        system.reset();
        tree.reset();
    }

    /// Does the outcome `got` meet `wanted`, a code or the codes of rounds?
    static bool meets(const json& wanted, const json& got) {
        return wanted.is_object() ? got.value("codes", json()) == wanted : got.value("code", json()) == wanted;
    }

    /// Once a host has told fastrpcd of itself and entered its sandbox, which it does beside serving.
    static std::size_t settled_fds(pid_t pid) {
        constexpr int looks = 20;
        std::size_t count = 0;
        for (int same = 0; same < looks; ++same) {
            const std::size_t now = fds(pid);
            if (now != count) same = 0;
            count = now;
            std::this_thread::sleep_for(10ms);
        }
        return count;
    }

    static void check(const HostileCase& each) {
        const json end = root->run(each.steps);
        EXPECT_EQ(end.value("state", ""), "done") << end;
        const json outcomes = end.value("outcomes", json::array());
        EXPECT_EQ(outcomes.size(), each.codes.size()) << end;
        for (std::size_t i = 0; i < std::min(outcomes.size(), each.codes.size()); ++i)
            EXPECT_TRUE(meets(each.codes[i], outcomes[i]))
                << "step " << i << ": wanted " << each.codes[i] << ", got " << outcomes[i];
        for (const json& outcome : end.value("outcomes", json::array())) {
            EXPECT_FALSE(outcome.contains("malformed") || outcome.contains("surplus")) << outcome;
            EXPECT_TRUE(outcome.value("tail_zero", true)) << outcome;
        }
    }

    /// Starts the PD anew, so that its host reads the ring.
    static void renew_reader() {
        command(*system, {{"command", "crash"}, {"domain", "adsp"}, {"pd", "root"}});
        const json wait = json::parse(R"([{"do":"ring","text":"the log begins anew","wait_ms":5000}])");
        EXPECT_TRUE(stack::eventually([&] {
            const json end = root->run(wait);
            return end.value("state", "") == "done" && end["outcomes"][0].value("read", false);
        })) << root->log();
    }

    static void run(const HostileCases& cases) {
        constexpr std::size_t room_kib = 40U << 10; // a blob of 16 MiB and its answer
        ASSERT_TRUE(serves(*root)) << root->log();
        const std::size_t fds_before = settled_fds(root->pid()), kib_before = root->resident_kib();
        const std::uint64_t mapped_before = root->mapped();
        for (const HostileCase& each : cases) {
            SCOPED_TRACE(each.name);
            if (each.new_reader) renew_reader();
            check(each);
            const json well = serve_well(*root);
            ASSERT_EQ(well.value("state", ""), "done") << well << root->log();
            EXPECT_LE(fds(root->pid()), fds_before);
        }
        EXPECT_LE(root->mapped(), mapped_before); // a ring that lies is given up
        EXPECT_LT(root->resident_kib(), kib_before + room_kib);
        RecordProperty("cases", std::to_string(cases.size()));
    }

    static std::unique_ptr<Scratch> tree;
    static System system;
    static std::unique_ptr<StaticPd> root;
};
std::unique_ptr<Scratch> Hostile::tree;
System Hostile::system;
std::unique_ptr<StaticPd> Hostile::root;

} // namespace

TEST_F(Hostile, lengths_that_are_lies_are_refused) {
    run(wrong_lengths());
}
TEST_F(Hostile, blobs_that_end_early_or_claim_too_much_are_refused) {
    run(wrong_blobs());
}
TEST_F(Hostile, calls_of_another_shape_are_refused) {
    run(wrong_shapes());
}
TEST_F(Hostile, handles_methods_and_interfaces_that_there_are_not_are_declined) {
    run(wrong_targets());
}
TEST_F(Hostile, numbers_that_name_nothing_are_refused) {
    run(wrong_numbers());
}
TEST_F(Hostile, names_do_not_leave_the_tree_and_open_files_alone) {
    run(wrong_names());
}
TEST_F(Hostile, nothing_is_written_where_nothing_may_be) {
    run(wrong_writes());
}
TEST_F(Hostile, memory_is_what_was_granted_and_not_a_byte_of_others) {
    run(wrong_memory());
}
TEST_F(Hostile, logs_are_read_as_far_as_they_go) {
    run(wrong_logs());
}
TEST_F(Hostile, greed_has_caps_and_races_have_whole_files) {
    run(greed());
}

TEST_F(Hostile, a_file_that_becomes_a_link_out_while_it_is_opened_never_shows_what_is_outside) {
    const auto flip = tree->path("tree/flip"), file = tree->path("tree/flip.file"), link = tree->path("tree/flip.link");
    std::atomic<bool> stop = false;
    std::thread swapper([&] {
        while (!stop) {
            tree->file("tree/flip.file", "inside");
            std::filesystem::rename(file, flip);
            std::filesystem::create_symlink("../secret", link);
            std::filesystem::rename(link, flip);
        }
    });
    const json end = root->run(json::parse(R"([{"do":"repeat","times":3000,"steps":[
        {"do":"fopen","name":"flip","as":"f","expect":[0,2,13]},
        {"do":"fread","when":"f","fd":"$f","size":1,"as":"text"},
        {"do":"check","when":"f","of":"$text","bytes":{"text":"i"}},
        {"do":"fclose","when":"f","fd":"$f"}]}])"));
    stop = true;
    swapper.join();
    EXPECT_EQ(end.value("state", ""), "done") << end;
    EXPECT_GT(end["outcomes"][0]["codes"].value("13", 0), 0) << "the link was never met: " << end;
    EXPECT_TRUE(serves(*root));
}

TEST_F(Hostile, two_pds_that_race_on_one_file_both_read_it_whole) {
    const StaticPd sensors(*system, "adsp", "sensors", hostile_definition(*tree));
    ASSERT_TRUE(serves(sensors));
    const json script =
        json::parse(R"([{"do":"repeat","times":300,"steps":[{"do":"fopen","name":"known","as":"f","expect":0},
        {"do":"read","fd":"$f","sizes":[4096],"bytes":{"pattern":10000,"seed":5}},{"do":"fclose","fd":"$f","expect":0}]}])");
    json other;
    std::thread beside([&] { other = sensors.run(script); });
    const json mine = root->run(script);
    beside.join();
    EXPECT_EQ(mine.value("state", ""), "done") << mine;
    EXPECT_EQ(other.value("state", ""), "done") << other;
}

TEST_F(Hostile, a_pd_that_dies_in_its_calls_costs_nothing_but_its_calls) {
    std::size_t fds_before = 0; // after the first death: the tests before may have cost it its log's ring
    for (int i = 0; i < 5; ++i) {
        json end;
        std::thread caller([&] {
            end =
                root->run(json::parse(R"([{"do":"parallel","threads":4,"steps":[{"do":"repeat","times":1000000,"steps":[
                {"do":"fopen","name":"known","as":"f"},{"do":"fread","fd":"$f","size":64}]}]}])"));
        });
        std::this_thread::sleep_for(100ms);
        command(*system, {{"command", "crash"}, {"domain", "adsp"}, {"pd", "root"}});
        caller.join();
        EXPECT_NE(end.value("state", ""), "done") << end;
        ASSERT_TRUE(serves(*root)) << root->log();
        EXPECT_TRUE(root->lives());
        if (i == 0) fds_before = settled_fds(root->pid());
    }
    EXPECT_TRUE(stack::eventually([&] { return fds(root->pid()) <= fds_before; }))
        << fds(root->pid()) << ", before: " << fds_before;
    constexpr std::uint64_t ring = 256U << 10;
    EXPECT_LE(root->mapped(), ring) << "a new life begins with the memory of the last ones";
    EXPECT_EQ(status(*system, "adsp").value("contexts_abandoned", -1), 0);
}
