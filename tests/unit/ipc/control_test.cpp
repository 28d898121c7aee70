// Control messages: what is written is read, and nothing else is.
#include "bytes.hpp"

#include "ipc/control.hpp"
#include "ipc/frame.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <random>

using namespace fastrpc;
using namespace fastrpc::test;

namespace {

const Grant grant{"unsigned-for-all",
                  "/usr/lib/fastrpcd/policy.d/50-default.json",
                  12,
                  0xFEDC'BA98'7654'3210,
                  0x18,
                  Limits{4, 16, 1ULL << 33, 256, 60000, 48, 1ULL << 34, 1024, 6, 300, 30000, 20000, 192, 1 << 16, 3},
                  200,
                  1 << 15,
                  true};

StartMessage start() {
    return {0x1122334455667788, Domain::gdsp1, PdKind::signed_user, 1000, "camera", 1700000000123456, grant};
}
Description description() {
    return {77,
            Domain::cdsp1,
            PdKind::unsigned_user,
            PdState::running,
            3,
            2,
            4321,
            1001,
            "büro \"x\"",
            1700000000999999,
            "/dev/fastrpc-cdsp",
            "created",
            grant,
            "misc",
            "Linux 6.12",
            {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}};
}
Description static_description() {
    Description d;
    d.kind = PdKind::sensors;
    d.domain = Domain::adsp;
    d.state = PdState::failed;
    return d;
}
Counters counters() {
    return {1, 2, 3, 4, 5, 6, 7, "libmissing.so", 8, 9, 10, 11, 12, 13, 1ULL << 40};
}
FileReport report(std::uint64_t sequence, std::size_t places = 2, std::size_t place_bytes = 10) {
    return {sequence,
            "lib" + std::to_string(sequence) + ".so",
            std::vector(places, std::string(place_bytes, '/')),
            "not found",
            1,
            2,
            3,
            4,
            5};
}

template<class T>
bool same(const T& a, const T& b) {
    if constexpr (std::is_same_v<T, FailedMessage>)
        return a.kind == b.kind && a.os_error == b.os_error && a.text == b.text;
    else if constexpr (std::is_same_v<T, ByeMessage>)
        return a.reason == b.reason && a.counters == b.counters;
    else
        return a == b;
}

/// With modules, of which one was handed over, and its name among those of the files.
StartMessage start_with_modules() {
    StartMessage message = start();
    std::array<std::byte, 32> hash{};
    for (std::size_t i = 0; i < hash.size(); ++i) hash[i] = static_cast<std::byte>(i * 7 + 1);
    message.grant.modules = {{"libone_skel.so", std::nullopt}, {"libtwo.so", hash}, {"c", std::nullopt}};
    message.module_files = {"libtwo.so"};
    return message;
}

template<class T>
void expect_exact(const T& message) {
    const Bytes payload = encode(message);
    EXPECT_LE(payload.size() + sizeof(FrameHeader), max_control_datagram);
    const Result<T> back = decode<T>(payload);
    ASSERT_TRUE(back) << back.error().text;
    EXPECT_TRUE(same(*back, message));
    for (std::size_t size = 0; size < payload.size(); ++size) {
        const Bytes cut(payload.begin(), payload.begin() + static_cast<std::ptrdiff_t>(size));
        const Result<T> refused = decode<T>(cut);
        ASSERT_FALSE(refused) << "cut at " << size << " of " << payload.size();
        EXPECT_EQ(refused.error().kind, ErrorKind::protocol);
    }
    for (std::size_t surplus = 1; surplus <= 9; ++surplus)
        EXPECT_FALSE(decode<T>(payload + Bytes(surplus))) << surplus << " surplus";
}

} // namespace

TEST(Control, every_message_survives_the_way_and_no_cut_or_surplus_byte_does) {
    expect_exact(start());
    expect_exact(start_with_modules());
    expect_exact(description());
    Description with_modules = description();
    with_modules.grant.modules = start_with_modules().grant.modules;
    expect_exact(with_modules);
    expect_exact(static_description());
    expect_exact(counters());
    expect_exact(Counters{});
    expect_exact(Latency{});
    Latency latency{.sum_ns = 1ULL << 50};
    for (std::size_t i = 0; i < latency.calls.size(); ++i) latency.calls[i] = i << 40;
    expect_exact(latency);
    expect_exact(FailedMessage{ErrorKind::dsp, -5, "the DSP refused"});
    expect_exact(ByeMessage{"the client closed its end", counters(), 7});
    expect_exact(ByeMessage{});
    expect_exact(PdCommand{PdAction::restart, "uid 0 (root)"});
    expect_exact(TerminateMessage{LostReason::reclaimed, "others wait"});
    expect_exact(LeaveMessage{2000, "others wait"});
    expect_exact(FilesRequest{0x1122334455667788});
    expect_exact(FilesPage{true, {report(1), report(7, 0), report(9, 3, 1)}});
    expect_exact(FilesPage{});
}

TEST(Latency, a_call_counts_at_the_lowest_bound_that_it_does_not_exceed) {
    EXPECT_EQ(Latency::bound_us(0), 4U);
    for (std::size_t i = 0; i < Latency::bounds; ++i) {
        const std::uint64_t bound = Latency::bound_us(i) * 1000;
        EXPECT_EQ(Latency::place(bound), i);
        EXPECT_EQ(Latency::place(bound - 1), i);
        EXPECT_EQ(Latency::place(bound + 1), i + 1);
    }
    EXPECT_EQ(Latency::place(0), 0U);
    EXPECT_EQ(Latency::place(~std::uint64_t{0}), Latency::bounds);
}

TEST(Control, modules_and_their_files_come_as_they_were_granted_or_not_at_all) {
    const auto refused = [](const auto& change) {
        StartMessage message = start_with_modules();
        change(message);
        return !decode<StartMessage>(encode(message));
    };
    using M = StartMessage;
    EXPECT_FALSE(refused([](M&) {}));
    EXPECT_FALSE(refused([](M& m) { m.module_files.clear(); })) << "a module whose file came may be told alone";
    EXPECT_TRUE(refused([](M& m) { m.module_files = {"libthree.so"}; })) << "not granted";
    EXPECT_TRUE(refused([](M& m) { m.module_files = {"libone_skel.so"}; })) << "its hash is not known";
    EXPECT_TRUE(refused([](M& m) { m.module_files.emplace_back("libtwo.so"); })) << "twice";
    EXPECT_TRUE(refused([](M& m) { m.grant.modules.push_back(m.grant.modules[1]); })) << "granted twice";
    EXPECT_TRUE(refused([](M& m) { m.grant.modules.clear(); }));
    for (const char* name : {"", "a/b.so", "../a.so", ".so", "a b", "a\n"})
        EXPECT_TRUE(refused([&](M& m) { m.grant.modules[0].name = name; })) << name;
    const auto granted = [&](std::size_t count) {
        return [count](M& m) {
            m.grant.modules.assign(count, {"x.so", std::nullopt});
            m.grant.modules[0] = {"libtwo.so", std::array<std::byte, 32>{}};
        };
    };
    EXPECT_FALSE(refused(granted(max_granted_modules)));
    EXPECT_TRUE(refused(granted(max_granted_modules + 1)));
    const auto handed_over = [&](std::size_t count) {
        return [count](M& m) {
            m.grant.modules.clear();
            m.module_files.clear();
            for (std::size_t i = 0; i < count; ++i) {
                m.module_files.push_back("lib" + std::to_string(i) + ".so");
                m.grant.modules.push_back({m.module_files.back(), std::array<std::byte, 32>{}});
            }
        };
    };
    EXPECT_FALSE(refused(handed_over(max_module_files)));
    EXPECT_TRUE(refused(handed_over(max_module_files + 1)));
    EXPECT_FALSE(refused([](M& m) { m.grant.limits.directories = max_session_directories; }));
    EXPECT_TRUE(refused([](M& m) { m.grant.limits.directories = max_session_directories + 1; }));
    Description d = description();
    d.grant.modules.assign(max_granted_modules + 1, {"x.so", std::nullopt});
    EXPECT_FALSE(decode<Description>(encode(d)));
}

TEST(Control, whether_a_module_has_a_hash_is_one_byte_that_is_0_or_1) {
    StartMessage message = start();
    message.grant.modules = {{"x.so", std::nullopt}};
    const Bytes without = encode(message);
    message.grant.modules[0].sha256 = std::array<std::byte, 32>{};
    const Bytes with = encode(message);
    const auto differs = std::ranges::mismatch(without, with);
    ASSERT_NE(differs.in2, with.end());
    EXPECT_EQ(*differs.in1, std::byte{0});
    EXPECT_EQ(*differs.in2, std::byte{1});
    Bytes bad = with;
    bad[static_cast<std::size_t>(differs.in2 - with.begin())] = std::byte{2};
    EXPECT_FALSE(decode<StartMessage>(bad));
}

TEST(Control, every_domain_kind_and_state_survives) {
    for (const Domain domain : all_domains)
        for (const PdKind kind : all_pd_kinds)
            for (int state = 1; state <= 6; ++state) {
                Description d = description();
                d.domain = domain;
                d.kind = kind;
                d.state = static_cast<PdState>(state);
                d.session_id = is_static(kind) ? 0 : 5;
                const Result<Description> back = decode<Description>(encode(d));
                ASSERT_TRUE(back);
                EXPECT_EQ(*back, d);
                EXPECT_NE(to_string(d.state), "unknown");
            }
}

TEST(Control, values_outside_their_enums_are_refused) {
    for (const int bad : {7, 8, 100, 255}) {
        StartMessage s = start();
        s.domain = static_cast<Domain>(bad);
        EXPECT_FALSE(decode<StartMessage>(encode(s))) << bad;
        Description d = description();
        d.domain = static_cast<Domain>(bad);
        EXPECT_FALSE(decode<Description>(encode(d))) << bad;
    }
    for (const int bad : {0, 7, 255}) {
        StartMessage s = start();
        s.kind = static_cast<PdKind>(bad);
        EXPECT_FALSE(decode<StartMessage>(encode(s))) << bad;
        Description d = description();
        d.kind = static_cast<PdKind>(bad);
        EXPECT_FALSE(decode<Description>(encode(d))) << bad;
        d = description();
        d.state = static_cast<PdState>(bad);
        EXPECT_FALSE(decode<Description>(encode(d))) << bad;
    }
    for (const int bad : {0, 4, 255})
        EXPECT_FALSE(decode<PdCommand>(encode(PdCommand{static_cast<PdAction>(bad), ""})));
    for (const std::uint32_t bad : {10U, 0xFFFFFFFFU})
        EXPECT_FALSE(decode<TerminateMessage>(encode(TerminateMessage{static_cast<LostReason>(bad), ""})));
    for (const int bad : {0, 14, 65535})
        EXPECT_FALSE(decode<FailedMessage>(encode(FailedMessage{static_cast<ErrorKind>(bad), 0, "x"}))) << bad;
}

TEST(Control, a_static_pd_is_no_session_and_a_session_is_no_static_pd) {
    StartMessage s = start();
    s.kind = PdKind::root;
    EXPECT_FALSE(decode<StartMessage>(encode(s)));
    s = start();
    s.session_id = 0;
    EXPECT_FALSE(decode<StartMessage>(encode(s)));
    Description d = description();
    d.session_id = 0;
    EXPECT_FALSE(decode<Description>(encode(d)));
    d = static_description();
    d.session_id = 1;
    EXPECT_FALSE(decode<Description>(encode(d)));
}

TEST(Control, a_long_text_is_cut_by_the_writer_and_refused_by_the_reader) {
    const Result<FailedMessage> cut =
        decode<FailedMessage>(encode(FailedMessage{ErrorKind::lost, 0, std::string(5000, 'x')}));
    ASSERT_TRUE(cut);
    EXPECT_EQ(cut->text, std::string(4096, 'x'));
    // The same bytes with a longer text, as no writer of ours makes them.
    Bytes payload = encode(FailedMessage{ErrorKind::lost, 0, std::string(4096, 'x')});
    const std::size_t length_at = payload.size() - 4096 - 4;
    payload[length_at] = std::byte{1}; // 4097
    payload.push_back(std::byte{'x'});
    EXPECT_FALSE(decode<FailedMessage>(payload));
}

TEST(Control, a_page_of_files_holds_as_many_as_fit_and_asks_on_for_the_rest) {
    std::vector<FileReport> all;
    for (std::uint64_t i = 1; i <= 3 * beyond_one_page; ++i) all.push_back(report(i, i % 5, i % 40));
    std::vector<FileReport> got;
    for (bool more = true; more;) {
        const FilesPage page = first_page({all.begin() + static_cast<std::ptrdiff_t>(got.size()), all.end()});
        ASSERT_FALSE(page.reports.empty());
        ASSERT_LT(page.reports.size(), beyond_one_page);
        ASSERT_LE(encode(page).size() + sizeof(FrameHeader), max_control_datagram);
        got.insert(got.end(), page.reports.begin(), page.reports.end());
        more = page.more;
        ASSERT_EQ(more, got.size() < all.size());
    }
    EXPECT_EQ(got, all);
    EXPECT_EQ(first_page({}), FilesPage{});
}

TEST(Control, a_report_with_too_many_places_loses_some_of_them_and_is_sent_all_the_same) {
    const FilesPage page = first_page({report(1, 32, 4096), report(2, 32, 4096)});
    ASSERT_EQ(page.reports.size(), 1U);
    EXPECT_TRUE(page.more);
    EXPECT_EQ(page.reports[0].places.size(), 3U);
    EXPECT_LE(encode(page).size() + sizeof(FrameHeader), max_control_datagram);
    FileReport longest = report(3, 1, 5000);
    longest.name = longest.problem = std::string(5000, 'x');
    EXPECT_LE(encode(first_page({longest})).size() + sizeof(FrameHeader), max_control_datagram);
}

TEST(Control, reports_out_of_order_or_an_empty_page_that_asks_on_are_refused) {
    for (const FilesPage& bad : {FilesPage{true, {}}, FilesPage{false, {report(0)}},
                                 FilesPage{false, {report(2), report(2)}}, FilesPage{false, {report(2), report(1)}}})
        EXPECT_FALSE(decode<FilesPage>(encode(bad)));
    Bytes payload = encode(FilesPage{false, {report(1)}}); // a count beyond its bytes
    payload[4] = payload[5] = payload[6] = payload[7] = std::byte{0xFF};
    EXPECT_FALSE(decode<FilesPage>(payload));
}

TEST(Control, random_garbage_is_refused_or_meaningful) {
    std::mt19937 random(23);
    const std::vector<Bytes> seeds{encode(start()),
                                   encode(start_with_modules()),
                                   encode(description()),
                                   encode(counters()),
                                   encode(FailedMessage{ErrorKind::dsp, 1, "x"}),
                                   encode(ByeMessage{"x", counters()}),
                                   encode(PdCommand{PdAction::stop, "x"}),
                                   encode(FilesPage{true, {report(1)}})};
    for (int round = 0; round < 100000; ++round) {
        Bytes bytes;
        if (round % 2 == 0) {
            bytes.resize(random() % 200);
            for (std::byte& b : bytes) b = static_cast<std::byte>(random());
        } else {
            bytes = seeds[random() % seeds.size()];
            for (std::size_t i = 0; i <= random() % 3; ++i)
                bytes[random() % bytes.size()] = static_cast<std::byte>(random());
        }
        if (const auto m = decode<StartMessage>(bytes)) {
            ASSERT_FALSE(is_static(m->kind));
            ASSERT_LE(m->grant.modules.size(), max_granted_modules);
            ASSERT_LE(m->module_files.size(), max_module_files);
            ASSERT_LE(m->grant.limits.directories, max_session_directories);
        }
        if (const auto m = decode<Description>(bytes)) {
            ASSERT_EQ(is_static(m->kind), m->session_id == 0);
            ASSERT_LE(m->reason.size(), 4096U);
        }
        if (const auto m = decode<FailedMessage>(bytes)) {
            ASSERT_NE(m->kind, ErrorKind::none);
        }
        static_cast<void>(decode<Counters>(bytes));
        static_cast<void>(decode<Latency>(bytes));
        static_cast<void>(decode<ByeMessage>(bytes));
        if (const auto m = decode<PdCommand>(bytes)) {
            ASSERT_NE(to_string(m->action), "");
        }
        if (const auto m = decode<FilesPage>(bytes)) {
            ASSERT_FALSE(m->more && m->reports.empty());
        }
    }
}
