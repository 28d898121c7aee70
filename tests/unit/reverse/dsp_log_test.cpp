// The DSP's log lines: what becomes of them on their way, how many get through, and how a push is taken apart.
#include "asker.hpp"
#include "daemon/reverse/adspmsgd.hpp"

#include <gtest/gtest.h>
#include <map>

namespace fastrpc::daemon {
namespace {

using namespace std::chrono_literals;
using test::ask;
using test::Bytes;

class Logging : public ::testing::Test {
protected:
    struct Entry {
        log::Level level;
        std::string text;
        std::map<std::string, std::string> fields;
    };

    Logging() {
        open();
        dispatcher_.offer("adspmsgd_apps", interface_);
        EXPECT_EQ(ask(dispatcher_, 0, 0, {test::prim({14, 0}), test::string("adspmsgd_apps")}, {8, 0}).word(0), 1U);
    }
    void open() {
        log_.emplace(
            std::vector<log::Field>{{"FASTRPC_DOMAIN", "adsp"}, {"FASTRPC_PD", "root"}},
            [this](log::Level level, std::string_view text, std::span<const log::Field> fields) {
                Entry entry{level, std::string(text), {}};
                for (const log::Field& field : fields) entry.fields[std::string(field.name)] = field.value;
                entries_.push_back(std::move(entry));
            },
            [this] { return now_; });
    }
    /// A node of the push path, USERSPACE 7.2.
    static Bytes node(std::int32_t level, std::string_view text, std::string_view file = "", std::uint16_t line = 0,
                      char filler = '\0') {
        Bytes bytes = Packer().i32(level).u16(line).u16(7).bytes();
        const auto put = [&](std::string_view what, std::size_t room) {
            for (std::size_t i = 0; i < room; ++i)
                bytes.push_back(static_cast<std::byte>(i < what.size() ? what[i] : filler));
        };
        put(text, 218);
        put(file, 30);
        EXPECT_EQ(bytes.size(), 256U);
        return bytes;
    }
    int push(const Bytes& nodes, std::uint32_t length) {
        return ask(dispatcher_, 1, 0, {test::prim({length}), nodes}, {}).result;
    }
    int push(const Bytes& nodes) { return push(nodes, static_cast<std::uint32_t>(nodes.size())); }
    void write(unsigned lines) {
        for (unsigned i = 0; i < lines; ++i) log_->write({.text = "line"});
    }

    DspLog::Clock::time_point now_ = DspLog::Clock::time_point(1h);
    std::vector<Entry> entries_;
    std::optional<DspLog> log_;
    Dispatcher dispatcher_;

private:
    struct Interface_ final : Interface {
        explicit Interface_(Logging& test) : test_(test) {}
        int invoke(const ReverseCall& call) override { return Adspmsgd(*test_.log_).invoke(call); }
        Logging& test_;
    } interface_{*this};
};

TEST_F(Logging, a_pushed_node_becomes_a_line_with_its_origin_level_and_place) {
    ASSERT_EQ(push(node(3, "it broke\n", "module.c", 42)), 0);
    ASSERT_EQ(entries_.size(), 1U);
    EXPECT_EQ(entries_[0].level, log::Level::error);
    EXPECT_EQ(entries_[0].text, "it broke");
    const std::map<std::string, std::string> expected{{"FASTRPC_DOMAIN", "adsp"},     {"FASTRPC_PD", "root"},
                                                      {"FASTRPC_DSP_LEVEL", "error"}, {"FASTRPC_DSP_THREAD", "7"},
                                                      {"CODE_FILE", "module.c"},      {"CODE_LINE", "42"}};
    EXPECT_EQ(entries_[0].fields, expected);
}

TEST_F(Logging, each_level_has_its_priority_and_unknown_ones_their_number) {
    const std::map<std::int32_t, std::pair<log::Level, std::string>> levels{
        {0, {log::Level::debug, "low"}},
        {1, {log::Level::info, "medium"}},
        {2, {log::Level::warning, "high"}},
        {3, {log::Level::error, "error"}},
        {4, {log::Level::critical, "fatal"}},
        {5, {log::Level::info, "5"}},
        {-1, {log::Level::info, "-1"}},
        {std::numeric_limits<std::int32_t>::min(), {log::Level::info, "-2147483648"}}};
    for (const auto& [number, expected] : levels) {
        ASSERT_EQ(push(node(number, "x")), 0);
        EXPECT_EQ(entries_.back().level, expected.first) << number;
        EXPECT_EQ(entries_.back().fields["FASTRPC_DSP_LEVEL"], expected.second);
    }
}

TEST_F(Logging, several_nodes_come_in_order_and_a_remainder_is_ignored) {
    Bytes nodes = node(1, "first");
    for (const auto& more : {node(1, "second"), node(1, "third")}) nodes.insert(nodes.end(), more.begin(), more.end());
    ASSERT_EQ(push(nodes, 256 * 2 + 255), 0);
    ASSERT_EQ(entries_.size(), 2U);
    EXPECT_EQ(entries_[0].text, "first");
    EXPECT_EQ(entries_[1].text, "second");
    for (const std::uint32_t length : {0U, 1U, 255U}) EXPECT_EQ(push(nodes, length), 0) << length;
    EXPECT_EQ(entries_.size(), 2U);
}

TEST_F(Logging, texts_without_a_nul_end_in_front_of_the_last_byte) {
    ASSERT_EQ(push(node(1, std::string(218, 'a'), std::string(30, 'f'), 1)), 0);
    EXPECT_EQ(entries_.at(0).text, std::string(217, 'a'));
    EXPECT_EQ(entries_.at(0).fields["CODE_FILE"], std::string(29, 'f'));
}

TEST_F(Logging, nothing_but_printable_text_gets_through) {
    ASSERT_EQ(push(node(1, "a\x1b[31m\xff\nPRIORITY=0\r\n", "b\n.c")), 0);
    EXPECT_EQ(entries_.at(0).text, "a?[31m??PRIORITY=0");
    EXPECT_EQ(entries_.at(0).fields["CODE_FILE"], "b?.c");
    EXPECT_EQ(push(node(1, "\n \t")), 0);
    EXPECT_EQ(push(node(1, "")), 0);
    EXPECT_EQ(entries_.size(), 1U) << "a line without text is nothing";
}

TEST_F(Logging, malformed_pushes_are_bad_parameters) {
    const Bytes one = node(1, "x");
    for (const std::uint32_t length : {257U, 0x80000000U, 0xFFFFFFFFU}) EXPECT_EQ(push(one, length), aee::bad_parm);
    EXPECT_EQ(ask(dispatcher_, 1, 0, {test::prim({256})}, {}).result, aee::bad_parm);
    EXPECT_EQ(ask(dispatcher_, 1, 0, {Bytes(3), one}, {}).result, aee::bad_parm);
    EXPECT_EQ(ask(dispatcher_, 1, 0, {test::prim({256}), one}, {4}).result, aee::bad_parm);
    EXPECT_EQ(ask(dispatcher_, 1, 0, {test::prim({256}), one, one}, {}).result, aee::bad_parm);
    EXPECT_EQ(ask(dispatcher_, 1, 0, {}, {}).result, aee::bad_parm);
    EXPECT_EQ(ask(dispatcher_, 1, 1, {test::prim({256}), one}, {}).result, aee::unsupported);
    EXPECT_TRUE(entries_.empty());
}

TEST_F(Logging, a_flood_is_cut_to_a_burst_and_a_rate) {
    write(10000);
    EXPECT_EQ(entries_.size(), DspLog::burst);
    entries_.clear();
    now_ += 1s;
    write(10000);
    EXPECT_EQ(entries_.size(), DspLog::per_second + 1U) << "and the report";
    now_ += 1h;
    entries_.clear();
    write(10000);
    EXPECT_EQ(entries_.size(), DspLog::burst + 1U) << "a rest gives one burst, not more";
}

TEST_F(Logging, what_was_dropped_is_told_with_the_next_line_at_most_every_ten_seconds) {
    write(DspLog::burst + 7);
    now_ += 1s;
    entries_.clear();
    write(1);
    ASSERT_EQ(entries_.size(), 2U);
    EXPECT_TRUE(entries_[0].text.starts_with("7 log lines")) << entries_[0].text;
    EXPECT_EQ(entries_[0].level, log::Level::warning);
    EXPECT_EQ(entries_[0].fields["FASTRPC_PD"], "root");
    write(DspLog::burst);
    now_ += 5s;
    entries_.clear();
    write(1);
    EXPECT_EQ(entries_.size(), 1U) << "too soon for another report";
    now_ += 5s;
    write(1);
    ASSERT_EQ(entries_.size(), 3U);
    EXPECT_TRUE(entries_[1].text.starts_with("151 log lines")) << entries_[1].text;
}

TEST_F(Logging, what_was_dropped_is_told_at_the_end_of_the_pd) {
    write(DspLog::burst);
    entries_.clear();
    open();
    EXPECT_TRUE(entries_.empty()) << "nothing was dropped";
    write(DspLog::burst + 3);
    entries_.clear();
    log_.reset();
    ASSERT_EQ(entries_.size(), 1U);
    EXPECT_TRUE(entries_[0].text.starts_with("3 log lines"));
}

} // namespace
} // namespace fastrpc::daemon
