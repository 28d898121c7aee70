// Scripts of a PD, seen from the host: every step makes the reverse call that USERSPACE describes, and its outcome says
// what the host answered.
#include "script_host.hpp"

#include "vdsp/dsp/pd/script_values.hpp"

#include <thread>

namespace fastrpc::vdsp::test {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;

class Script : public ScriptTest {};

// One step per method; the scalars word and primIn as USERSPACE 4.7, 5.2 and 6.1 have them.
struct MethodCase {
    const char* step;
    std::uint32_t scalars;
    const char* prim;
};
constexpr const char* four = "04000000";
const MethodCase method_cases[] = {
    {R"({"do":"remotectl_open","name":"apps_mem"})", 0x00020200, "09000000ff000000"},
    {R"({"do":"remotectl_close","handle":7,"error":16})", 0x01010200, "0700000010000000"},
    {R"({"do":"fopen","name":"abc","mode":"r+"})", 0x00030100, "0400000003000000"},
    {R"({"do":"freopen","fd":4,"name":"abc"})", 0x01030100, "040000000400000002000000"},
    {R"({"do":"fflush","fd":4})", 0x02010000, four},
    {R"({"do":"fclose","fd":4})", 0x03010000, four},
    {R"({"do":"fread","fd":4,"size":32})", 0x04010200, "0400000020000000"},
    {R"({"do":"fwrite","fd":4,"data":{"zeros":5}})", 0x05020100, "0400000005000000"},
    {R"({"do":"fgetpos","fd":4,"size":16})", 0x06010200, "0400000010000000"},
    {R"({"do":"fsetpos","fd":4,"pos":{"zeros":16}})", 0x07020000, "0400000010000000"},
    {R"({"do":"ftell","fd":4})", 0x08010100, four},
    {R"({"do":"fseek","fd":4,"offset":-1,"whence":2})", 0x09010000, "04000000ffffffff02000000"},
    {R"({"do":"flen","fd":4})", 0x0A010100, four},
    {R"({"do":"rewind","fd":4})", 0x0B010000, four},
    {R"({"do":"feof","fd":4})", 0x0C010100, four},
    {R"({"do":"ferror","fd":4})", 0x0D010100, four},
    {R"({"do":"clearerr","fd":4})", 0x0E010000, four},
    {R"({"do":"print_string","text":"abc"})", 0x0F020000, four},
    {R"({"do":"getenv","name":"abc","size":8})", 0x10020200, "0400000008000000"},
    {R"({"do":"setenv","name":"abc","value":"d","override":0})", 0x11030000, "040000000200000000000000"},
    {R"({"do":"unsetenv","name":"abc"})", 0x12020000, four},
    {R"({"do":"fopen_with_env","env":"E","name":"abc"})", 0x13050100, "02000000020000000400000002000000"},
    {R"({"do":"fgets","fd":4,"size":32})", 0x14010200, "0400000020000000"},
    {R"({"do":"fileExists","name":"abc"})", 0x16020100, four},
    {R"({"do":"fsync","fd":4})", 0x17010000, four},
    {R"({"do":"fremove","name":"abc"})", 0x18020000, four},
    {R"({"do":"fdopen_decrypt","fd":4})", 0x19010100, four},
    {R"({"do":"opendir","name":"abc"})", 0x1A020100, four},
    {R"({"do":"closedir","dir":4})", 0x1B010000, "0400000000000000"},
    {R"({"do":"readdir","dir":4})", 0x1C010100, "0400000000000000"},
    {R"({"do":"mkdir","name":"abc","mode":448})", 0x1D020000, "04000000c0010000"},
    {R"({"do":"rmdir","name":"abc"})", 0x1E020000, four},
    {R"({"do":"stat","name":"abc"})", 0x1F020100, "1f00000004000000"},
    {R"({"do":"ftrunc","fd":4,"length":9})", 0x1F010000, "200000000400000009000000"},
    {R"({"do":"frename","from":"abc","to":"d"})", 0x1F030000, "210000000400000002000000"},
    {R"({"do":"fopen_fd","name":"abc"})", 0x1F030100, "220000000400000002000000"},
    {R"({"do":"fclose_fd","fd":4})", 0x1F010000, "2300000004000000"},
    {R"({"do":"fopen_with_env_fd","env":"E","name":"abc"})", 0x1F050100, "2400000002000000020000000400000002000000"},
    {R"({"do":"request_map","flags":4096,"size":4096})", 0x00010100, "1900000000000000001000000000000000100000"},
    {R"({"do":"request_unmap","address":4,"size":1})", 0x01010000, "0400000001000000"},
    {R"({"do":"request_map64","heap":0,"flags":8,"size":4096})", 0x02010100,
     "0000000000000000080000000000000000000000000000000010000000000000"},
    {R"({"do":"request_unmap64","address":4,"size":1})", 0x03010000, "04000000000000000100000000000000"},
    {R"({"do":"share_map","fd":4,"size":1})", 0x04010100, "0400000001000000"},
    {R"({"do":"share_unmap","address":4,"size":1})", 0x05010000, "040000000000000001000000"},
    {R"({"do":"dma_handle_map","fd":4,"size":1})", 0x06010000, "040000000000000001000000"},
    {R"({"do":"dma_handle_unmap","fd":4,"size":1})", 0x07010000, "0400000001000000"},
};

TEST_F(Script, each_method_of_the_host_is_called_as_the_specification_says) {
    ready();
    for (const MethodCase& each : method_cases) {
        SCOPED_TRACE(each.step);
        seen.clear();
        const json end = run(json::array({json::parse(each.step)}));
        ASSERT_EQ(end["state"], "done") << end;
        EXPECT_EQ(end["outcomes"][0]["code"], 0) << end;
        const auto made = std::ranges::find(seen, each.scalars, &Seen::scalars);
        ASSERT_NE(made, seen.end());
        const auto request = decode_request(Scalars{made->scalars}, made->blob);
        ASSERT_TRUE(request);
        const auto prim = request->inputs.at(0);
        EXPECT_EQ(hex_of({reinterpret_cast<const char*>(prim.data()), prim.size()}), each.prim);
    }
}

TEST_F(Script, a_raw_step_sends_any_handle_scalars_and_bytes) {
    ready();
    const json end = run(json::parse(R"([
        {"do":"raw","handle":"0xFFFFFFFF","sc":"0xFF020103","blob":{"hex":"0102ff"}},
        {"do":"raw","interface":"apps_std","method":4,"in":[[5,6]],"out":[8,3],"patch":[[0,4294967295]],"cut":9},
        {"do":"raw","interface":"apps_std","sc":"0x02000000","in":[[1,{"u16":2}],"ab",{"text":"c"}],"out":[]}])"));
    ASSERT_EQ(end["state"], "done") << end;
    EXPECT_EQ(seen.at(0).handle, 0xFFFFFFFF);
    EXPECT_EQ(seen[0].scalars, 0xFF020103);
    EXPECT_EQ(hex(seen[0].blob), "0102ff");
    EXPECT_EQ(seen.at(2).scalars, 0x04010200U) << "the first call opened the interface";
    EXPECT_EQ(hex(seen[2].blob), "ffffffff0000000005");
    EXPECT_EQ(hex(seen.at(3).blob), "060000000000000001000000020003000000000000000000616200010000000063")
        << "lengths, padding to 8, data";
}

TEST_F(Script, an_outcome_tells_the_code_the_outputs_and_what_lies_behind_the_valid_bytes) {
    ready();
    files["f"] = bytes_of_text("hello");
    const json end = run(json::parse(R"([
        {"do":"fopen_with_env","env":"E","name":"f","as":"fd"},
        {"do":"fread","fd":"$fd","size":9,"as":"data"},
        {"do":"fread","fd":999,"size":9,"as":"data"},
        {"do":"fclose","unless":"data","fd":"$fd"}])"));
    ASSERT_EQ(end["state"], "done") << end;
    const json& outcomes = end["outcomes"];
    EXPECT_EQ(outcomes[0]["value"], 100) << end;
    EXPECT_EQ(outcomes[1]["size"], 5);
    EXPECT_EQ(outcomes[1]["tail_zero"], true);
    EXPECT_EQ(outcomes[1]["outputs"][1], (json{{"size", 9}, {"hex", "68656c6c6f00000000"}, {"zero_from", 5}}));
    EXPECT_EQ(outcomes[2]["code"], 9);
    EXPECT_EQ(outcomes[3]["do"], "fclose") << "a step that brings nothing forgets what was saved";
}

TEST_F(Script, lies_of_the_host_are_told_as_they_are) {
    ready();
    const auto honest = serve;
    HostReply lie{0, bytes_of_text("x")};
    serve = [&](const Seen& call) { return call.handle == 0 ? honest(call) : lie; };
    const json step = json::parse(R"([{"do":"ftell","fd":1}])");
    EXPECT_EQ(run(step)["outcomes"][0]["malformed"], 1);
    lie.result = 5;
    const json refused = run(step)["outcomes"][0];
    EXPECT_EQ(refused["code"], 5);
    EXPECT_EQ(refused["surplus"], 1) << "a refusal brings no outputs";
}

TEST_F(Script, a_file_is_read_to_its_end_in_odd_sizes_and_compared) {
    ready();
    ScriptBytes pattern;
    for (std::size_t i = 0; i < 10'000; ++i) pattern.push_back(static_cast<std::byte>(7 * i + i / 256 + 31 * 5));
    files["f"] = pattern;
    json script = json::parse(R"([
        {"do":"fopen_with_env","env":"E","name":"f","as":"fd"},
        {"do":"read","fd":"$fd","sizes":[1,7,255,4097],"bytes":{"pattern":10000,"seed":5},"as":"all"},
        {"do":"check","of":"$all","bytes":[{"value":"$all"}]},
        {"do":"take","of":"$all","at":1,"size":2,"as":"n"},
        {"do":"check","of":"$n","number":"0xa9a2"}])");
    const json end = run(script);
    EXPECT_EQ(end["state"], "done") << end;
    EXPECT_EQ(end["outcomes"][1]["size"], 10'000);
    script[1]["bytes"]["seed"] = 6;
    const json wrong = run(script);
    EXPECT_EQ(wrong["state"], "failed");
    EXPECT_EQ(wrong["step"], 1);
}

TEST_F(Script, lists_rounds_and_threads_of_steps_run_and_count_their_codes) {
    ready();
    directory = {".", "a", "b", ".."};
    files["dir/a"] = bytes_of_text("A");
    const json end = run(json::parse(R"([
        {"do":"list","name":"dir","as":"names"},
        {"do":"each","of":"$names","name":"n","steps":[
            {"do":"fopen_with_env","env":"E","name":"dir/${n}","as":"fd"},
            {"do":"fclose","when":"fd","fd":"$fd"}]},
        {"do":"repeat","times":50,"steps":[{"do":"fclose","fd":77}]},
        {"do":"parallel","threads":3,"steps":[{"do":"repeat","times":5,"steps":[{"do":"fclose","fd":77}]}]}])"));
    ASSERT_EQ(end["state"], "done") << end;
    const json& outcomes = end["outcomes"];
    EXPECT_EQ(outcomes[0]["names"], (json{"a", "b"}));
    EXPECT_EQ(outcomes[1]["codes"], (json{{"0", 2}, {"2", 1}})) << end;
    EXPECT_EQ(outcomes[1]["steps"].size(), 3U);
    EXPECT_EQ(outcomes[2]["codes"], (json{{"9", 50}}));
    EXPECT_EQ(outcomes[2]["steps"].size(), 1U) << "the last round";
    EXPECT_EQ(outcomes[3]["codes"]["9"], 15);
    EXPECT_EQ(outcomes[3]["steps"].size(), 3U);
}

TEST_F(Script, log_lines_are_pushed_as_nodes_of_256_bytes) {
    ready();
    const json end = run(json::parse(
        R"([{"do":"push","lines":[{"level":3,"line":12,"thread":7,"text":"hot","file":"a.c"},{"text":"second"}]}])"));
    ASSERT_EQ(end["state"], "done") << end;
    const auto request = decode_request(Scalars{0x00020000}, seen.at(1).blob);
    ASSERT_TRUE(request);
    EXPECT_EQ(value_at<std::uint32_t>(request->inputs.at(0)), 512U);
    const auto nodes = request->inputs.at(1);
    ASSERT_EQ(nodes.size(), 512U);
    EXPECT_EQ(value_at<std::uint32_t>(nodes), 3U);
    EXPECT_EQ(value_at<std::uint16_t>(nodes, 4), 12U);
    EXPECT_EQ(value_at<std::uint16_t>(nodes, 6), 7U);
    EXPECT_STREQ(reinterpret_cast<const char*>(nodes.data() + 8), "hot");
    EXPECT_STREQ(reinterpret_cast<const char*>(nodes.data() + 226), "a.c");
    EXPECT_STREQ(reinterpret_cast<const char*>(nodes.data() + 256 + 8), "second");
}

TEST_F(Script, the_ring_is_written_where_a_host_reads_and_nowhere_else) {
    ready();
    const json end = run(json::parse(R"([{"do":"ring","text":"x","wait_ms":10},{"do":"ring_poke","at":-4,"bytes":[9]},
                                         {"do":"sleep_ms","ms":1}])"));
    ASSERT_EQ(end["state"], "done") << end;
    EXPECT_EQ(end["outcomes"][0]["read"], false);
    EXPECT_EQ(end["outcomes"][1]["read"], false);
}

TEST_F(Script, mistakes_and_unmet_expectations_end_it_with_the_step_and_the_reason) {
    ready();
    const auto reason = [&](const char* step) {
        const json end = run(json::array({json::parse(R"({"do":"set","as":"n","number":1})"), json::parse(step)}));
        EXPECT_EQ(end["state"], "failed") << step;
        EXPECT_EQ(end["step"], 1) << step;
        return end["text"].get<std::string>();
    };
    EXPECT_NE(reason(R"({"do":"fclose","fd":77,"expect":[0,"0x10"]})").find("brought 9"), std::string::npos);
    EXPECT_NE(reason(R"({"do":"fclose"})").find("\"fd\""), std::string::npos);
    EXPECT_NE(reason(R"({"do":"fclose","fd":1,"fdd":1})").find("fdd"), std::string::npos);
    EXPECT_NE(reason(R"({"do":"dance"})").find("dance"), std::string::npos);
    EXPECT_NE(reason(R"({"do":"fclose","fd":"$m"})").find("\"m\""), std::string::npos);
    EXPECT_NE(reason(R"({"do":"check","of":"$n","number":2})"), "");
    EXPECT_NE(reason(R"({"do":"take","of":{"zeros":3}})"), "");
    EXPECT_NE(reason(R"({"do":"raw","handle":1,"sc":0,"blob":{"zeros":99999999}})"), "");
    EXPECT_NE(reason(R"({"do":"read","fd":1,"sizes":[]})"), "");
    EXPECT_NE(reason(R"({"do":5})"), "");
    EXPECT_NE(reason("7"), "");
}

TEST_F(Script, its_time_is_bounded_and_others_are_answered_meanwhile) {
    ready();
    const auto end = order(json::parse(R"([{"do":"sleep_ms","ms":60000},{"do":"sleep_ms","ms":1}])"), 200);
    EXPECT_EQ(run(json::parse(R"([{"do":"set","as":"n","number":1}])"))["state"], "done");
    run_until([&] { return end->has_value(); });
    EXPECT_NE((**end)["text"].get<std::string>().find("time"), std::string::npos) << **end;
}

TEST_F(Script, a_host_that_hangs_or_a_pd_that_dies_ends_it_with_an_error) {
    ready();
    const auto serving = std::exchange(between, [] {}); // nobody answers
    const auto hung = order(json::parse(R"([{"do":"fclose","fd":1}])"), 100);
    run_until([&] { return hung->has_value(); });
    EXPECT_NE((**hung)["error"].get<std::string>().find("100 ms"), std::string::npos);
    const auto dead = order(json::parse(R"([{"do":"fclose","fd":1}])"), 60'000);
    ASSERT_TRUE(dsp->command(R"({"command":"crash","pd":"root"})"));
    run_until([&] { return dead->has_value(); });
    EXPECT_NE((**dead)["error"].get<std::string>().find("gone"), std::string::npos);
    between = serving;
}

TEST_F(Script, orders_that_are_none_are_refused) {
    start();
    const auto refusal = [&](const char* command) {
        std::string text;
        dsp->run_script(command, [&](const Result<std::string>& end) { text = end ? "" : end.error().text; });
        return text;
    };
    EXPECT_NE(refusal(R"({"command":"run","pd":"root"})").find("script"), std::string::npos);
    EXPECT_NE(refusal(R"({"command":"run","pd":"audio","script":[]})").find("no such PD"), std::string::npos);
    EXPECT_NE(refusal(R"({"command":"run","pd":"root","script":[],"x":1})").find("\"x\""), std::string::npos);
    EXPECT_NE(refusal("nonsense"), "");
    EXPECT_EQ(run(json::array())["text"], "no host listens");
}

} // namespace
} // namespace fastrpc::vdsp::test
