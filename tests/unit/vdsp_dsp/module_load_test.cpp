// Loading modules through reverse calls: what goes right, and every way in which it goes wrong.
#include "host_side.hpp"

#include "vdsp/dsp/sha256.hpp"

#include <array>
#include <nlohmann/json.hpp>

namespace fastrpc::vdsp::test {
namespace {

using nlohmann::json;
class ModuleLoad : public HostTest {
protected:
    void SetUp() override {
        start();
        ASSERT_EQ(create(3), 0);
        listen(3, 1);
    }
    std::size_t count(unsigned method) const {
        return static_cast<std::size_t>(
            std::ranges::count_if(seen, [&](const Seen& call) { return call.handle != 0 && call.method() == method; }));
    }
    /// Serves files but answers `method` of apps_std with `reply`.
    void lie(unsigned method, const HostReply& reply) {
        serve = [this, method, reply](const Seen& call) {
            return call.handle != 0 && call.method() == method ? reply : serve_files(call);
        };
    }
    void expect_alive() {
        serve = [this](const Seen& call) { return serve_files(call); };
        files["libtest_skel.so"] = file_bytes(TEST_SKEL);
        const Opened module = open(3, 1, uri_of("test"));
        EXPECT_EQ(module.dl_error, 0) << module.text;
    }
    json modules() {
        const json all = json::parse(status());
        for (const json& pd : all["pds"])
            if (pd["kind"] == "unsigned") return pd["modules"];
        return json();
    }
};

Bytes reply_of(std::initializer_list<Bytes> outputs) {
    std::vector<std::uint32_t> capacities;
    for (const Bytes& output : outputs) capacities.push_back(static_cast<std::uint32_t>(output.size()));
    ReverseReply reply;
    lay_out_reply(capacities, reply);
    std::size_t i = 0;
    for (const Bytes& output : outputs) std::ranges::copy(output, reply.outputs.at(i++).begin());
    return reply.blob();
}

TEST_F(ModuleLoad, the_bytes_on_the_dsp_are_those_of_the_file) {
    Bytes file = file_bytes(TEST_SKEL);
    file.resize(file.size() + 1'000'001); // several pieces, an odd end
    files["libtest_skel.so"] = file;
    const Opened module = open(3, 1, uri_of("test"));
    ASSERT_EQ(module.dl_error, 0) << module.text;
    ASSERT_EQ(modules().size(), 1U);
    const json loaded = modules()[0];
    EXPECT_EQ(loaded["uri"], uri_of("test"));
    EXPECT_EQ(loaded["file"], "libtest_skel.so");
    EXPECT_EQ(loaded["size"], file.size());
    EXPECT_EQ(loaded["sha256"], sha256(file));
    EXPECT_EQ(loaded["reads"], count(4) - 1) << "the last one finds the end";
    EXPECT_EQ(loaded["reads"], 1 + (file.size() - 4096 + (256U << 10) - 1) / (256U << 10));
    EXPECT_EQ(count(10), 0U) << "flen ends the listener of hosts that lack it";
    EXPECT_EQ(count(3), 1U) << "the file is closed";
}

TEST_F(ModuleLoad, each_open_is_a_handle_of_its_own_and_loads_once) {
    files["libtest_skel.so"] = file_bytes(TEST_SKEL);
    const Opened first = open(3, 1, uri_of("test"));
    const std::size_t calls = seen.size();
    const Opened second = open(3, 1, uri_of("test"));
    EXPECT_EQ(seen.size(), calls);
    EXPECT_NE(first.handle, second.handle);
    const auto instance = [&](std::uint32_t handle) {
        const Sent sent = send(3, 1, main_tid, handle, 0x08000100, {output(8)});
        EXPECT_EQ(finish(sent), 0);
        return value_at<std::uint64_t>(sent.out(0));
    };
    EXPECT_EQ(instance(first.handle), 1U);
    EXPECT_EQ(instance(second.handle), 2U);
    const auto close = [&](std::uint32_t handle) {
        const Sent sent =
            send(3, 1, main_tid, 8, 0x03010200,
                 {input(bytes_of_value(std::array<std::uint32_t, 2>{handle, 255})), output(4), output(255)});
        EXPECT_EQ(finish(sent), 0);
        return value_at<std::uint32_t>(sent.out(0));
    };
    EXPECT_EQ(close(first.handle), 0U);
    EXPECT_EQ(close(first.handle), static_cast<std::uint32_t>(aee::no_such));
    EXPECT_EQ(instance(second.handle), 2U);
    EXPECT_EQ(close(second.handle), 0U);
    const Opened third = open(3, 1, uri_of("test"));
    EXPECT_GT(seen.size(), calls) << "unloaded with its last handle, so loaded again";
    EXPECT_NE(third.handle, first.handle);
    EXPECT_NE(third.handle, second.handle);
    EXPECT_EQ(instance(third.handle), 1U) << "fresh data";
}

TEST_F(ModuleLoad, a_missing_file_is_named) {
    const Opened module = open(3, 1, uri_of("missing"));
    EXPECT_EQ(module.result, 0);
    EXPECT_EQ(module.handle, 0U);
    EXPECT_EQ(module.dl_error, -5);
    EXPECT_EQ(module.text, "cannot open libmissing_skel.so, errno 2 (no such file)");
}

TEST_F(ModuleLoad, a_file_that_is_no_elf_is_named_and_not_read_further) {
    files["libtext_skel.so"] = Bytes(100'000, std::byte{'x'});
    files["libempty_skel.so"] = {};
    files["libarm_skel.so"] = file_bytes(TEST_SKEL);
    files["libarm_skel.so"][18] = std::byte{164}; // EM_HEXAGON
    for (const std::string name : {"text", "empty", "arm"}) {
        const Opened module = open(3, 1, uri_of(name));
        EXPECT_EQ(module.dl_error, static_cast<std::int32_t>(0x80000452));
        EXPECT_EQ(module.text.find("lib" + name + "_skel.so is "), 0U) << module.text;
    }
    EXPECT_EQ(count(4), 3U) << "one header each";
    EXPECT_EQ(count(3), 3U);
}

TEST_F(ModuleLoad, a_missing_symbol_is_named) {
    files["libtest_skel.so"] = file_bytes(TEST_SKEL);
    const Opened module = open(3, 1, "file:///libtest_skel.so?other_skel_handle_invoke&_modver=1.0&_dom=cdsp");
    EXPECT_EQ(module.dl_error, static_cast<std::int32_t>(0x80000442));
    EXPECT_NE(module.text.find("other_skel_handle_invoke"), std::string::npos) << module.text;
}

TEST_F(ModuleLoad, an_unresolved_dependency_is_named) {
    files["libunresolved_skel.so"] = file_bytes(UNRESOLVED_SKEL);
    const Opened module = open(3, 1, uri_of("unresolved"));
    EXPECT_EQ(module.dl_error, -5);
    EXPECT_EQ(module.text.find("libunresolved_skel.so"), 0U) << module.text;
    EXPECT_NE(module.text.find("fastrpc_test_missing_function"), std::string::npos) << module.text;
    expect_alive();
}

TEST_F(ModuleLoad, uris_for_elsewhere_are_refused) {
    EXPECT_EQ(open(3, 1, "file:///libtest_skel.so?x&_modver=1.0&_dom=adsp").dl_error,
              static_cast<std::int32_t>(0x80000439));
    EXPECT_EQ(open(3, 1, "file:///libtest_skel.so?x&_dom=cdsp").dl_error, static_cast<std::int32_t>(0x80000404));
    EXPECT_EQ(open(3, 1, "file:///?x").dl_error, aee::on_dsp(aee::bad_parm));
    EXPECT_EQ(open(3, 1, "").dl_error, aee::on_dsp(aee::bad_parm));
    EXPECT_EQ(open(3, 1, "no_such_interface").dl_error, aee::on_dsp(aee::no_such_mod));
    EXPECT_EQ(open(3, 1, "adsp_default_listener").dl_error, 0) << "built into every PD";
    EXPECT_TRUE(seen.empty());
}

TEST_F(ModuleLoad, a_long_error_text_is_cut_to_the_space_for_it) {
    const std::string uri = uri_of("missing") + '\0';
    const Sent sent =
        send(3, 1, main_tid, 8, 0x02020200,
             {input(bytes_of_value(std::array<std::uint32_t, 2>{static_cast<std::uint32_t>(uri.size()), 12})),
              input(bytes_of_text(uri)), output(8), output(20)});
    EXPECT_EQ(opened(sent).text, "cannot open");
}

TEST_F(ModuleLoad, nonsense_of_the_host_fails_the_open_and_nothing_else) {
    files["libtest_skel.so"] = file_bytes(TEST_SKEL);
    const auto word = [](std::uint32_t value) { return bytes_of_value(value); };
    const struct {
        const char* what;
        unsigned method;
        HostReply reply;
    } lies[] = {
        {"fd 0", 19, {0, reply_of({word(0)})}},
        {"fd -1", 19, {0, reply_of({word(~0U)})}},
        {"no output", 19, {0, {}}},
        {"short output", 19, {0, reply_of({Bytes(3)})}},
        {"long output", 19, {0, reply_of({Bytes(8)})}},
        {"refused with an AEE code", 19, {aee::file, {}}},
        {"more bytes than asked for", 4, {0, reply_of({bytes_of_value(std::uint64_t{5000}), Bytes(4096)})}},
        {"too few outputs", 4, {0, reply_of({bytes_of_value(std::uint64_t{4096})})}},
        {"read refused", 4, {-1, {}}},
        {"close refused", 3, {9, {}}},
    };
    for (const auto& each : lies) {
        SCOPED_TRACE(each.what);
        lie(each.method, each.reply);
        const Opened module = open(3, 1, uri_of("test"));
        EXPECT_EQ(module.result, 0);
        EXPECT_EQ(module.dl_error, -5);
        EXPECT_NE(module.text, "");
    }
    expect_alive();
}

TEST_F(ModuleLoad, nonsense_instead_of_apps_std_fails_the_open) {
    const auto with = [this](std::uint32_t handle, std::uint32_t dl_error) {
        serve = [=](const Seen&) {
            return HostReply{0, reply_of({bytes_of_value(std::array{handle, dl_error}), Bytes(255)})};
        };
        const Opened module = open(3, 1, uri_of("test"));
        EXPECT_EQ(module.dl_error, -5);
        EXPECT_NE(module.text, "");
    };
    with(0, 0);
    with(0xFFFFFFFF, 0);
    with(0xFFFFFFFF, 0x2C);
    expect_alive();
}

TEST_F(ModuleLoad, a_file_read_in_drops_is_whole) {
    files["libtest_skel.so"] = file_bytes(TEST_SKEL);
    serve = [this](const Seen& call) {
        if (call.handle == 0 || call.method() != 4) return serve_files(call);
        // At most 1000 bytes a call, though the capacity must be filled up.
        const auto request = decode_request(Scalars{call.scalars}, call.blob);
        static std::size_t position = 0;
        const Bytes& file = files["libtest_skel.so"];
        const std::size_t length = std::min<std::size_t>({1000, file.size() - position, request->capacities[1]});
        Bytes piece(request->capacities[1]);
        std::copy_n(file.begin() + static_cast<std::ptrdiff_t>(position), length, piece.begin());
        position += length;
        return HostReply{0, reply_of({bytes_of_value(std::uint64_t{length}), piece})};
    };
    const Opened module = open(3, 1, uri_of("test"));
    EXPECT_EQ(module.dl_error, 0) << module.text;
    EXPECT_EQ(modules()[0]["sha256"], sha256(files["libtest_skel.so"]));
}

} // namespace
} // namespace fastrpc::vdsp::test
