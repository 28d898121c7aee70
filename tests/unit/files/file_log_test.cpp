#include "daemon/files/file_log.hpp"

#include <gtest/gtest.h>

namespace fastrpc::daemon {
namespace {

TEST(FileLog, the_last_missed_name_and_the_number_are_remembered) {
    FileLog log;
    EXPECT_EQ(log.misses(), 0U);
    EXPECT_EQ(log.last_missed(), "");
    log.missed("libfoo_skel.so", not_found, {"/usr/lib/dsp/libfoo_skel.so"});
    log.missed("../passwd", "refused", {});
    EXPECT_EQ(log.misses(), 2U);
    EXPECT_EQ(log.last_missed(), "../passwd (refused)");
}

TEST(FileLog, names_that_are_missing_everywhere_do_not_count) {
    FileLog log;
    for (const char* name :
         {"oemconfig.so", "./oemconfig.so", "testsig-0x1234.so", "cdsp/testsig.so", "testsig", "librpcversion_skel.so"})
        log.missed(name, not_found, {});
    EXPECT_EQ(log.misses(), 0U);
    EXPECT_TRUE(log.since(0).empty());
    for (const char* name : {"oemconfig.so.1", "mytestsig.so", "librpcversion_skel.s", "testsig/real.so"})
        log.missed(name, not_found, {});
    EXPECT_EQ(log.misses(), 4U);
}

TEST(FileLog, a_hostile_name_is_made_printable_and_short) {
    FileLog log;
    log.missed("a\n\x1b[31m\xff" + std::string(5000, 'x'), not_found, {"/x/\n"});
    EXPECT_TRUE(log.last_missed().starts_with("a??[31m?xxx"));
    EXPECT_LE(log.last_missed().size(), 512U);
    EXPECT_EQ(log.since(0).at(0).places.at(0), "/x/?");
}

TEST(FileLog, a_file_that_came_later_is_missing_no_more) {
    FileLog log;
    log.missed("a", not_found, {"/1/a", "/2/a"});
    log.missed("a", not_found, {"/1/a", "/2/a"});
    ASSERT_EQ(log.since(0).size(), 1U);
    EXPECT_TRUE(log.since(0)[0].missing());
    EXPECT_EQ(log.since(0)[0].places, (std::vector<std::string>{"/1/a", "/2/a"}));
    log.opened("a", "/2/a");
    log.moved("a", 100, 7);
    const FileReport report = log.since(0).at(0);
    EXPECT_FALSE(report.missing());
    EXPECT_EQ(report.places, std::vector<std::string>{"/2/a"});
    EXPECT_EQ(report.opens, 1U);
    EXPECT_EQ(report.refusals, 2U);
    EXPECT_EQ(report.bytes_read, 100U);
    EXPECT_EQ(report.bytes_written, 7U);
    EXPECT_GT(report.last_us, 0U);
}

TEST(FileLog, a_file_that_the_dsp_made_itself_is_missing_no_more) {
    FileLog log;
    log.appeared("a", "/a");
    EXPECT_TRUE(log.since(0).empty()) << "nobody missed it";
    log.missed("a", not_found, {"/1/a"});
    log.appeared("a", "/a");
    ASSERT_EQ(log.since(0).size(), 1U);
    EXPECT_FALSE(log.since(0)[0].missing());
    EXPECT_EQ(log.since(0)[0].places, std::vector<std::string>{"/a"});
    EXPECT_EQ(log.misses(), 1U) << "it happened";
}

TEST(FileLog, followers_see_each_news_once_and_in_order) {
    FileLog log;
    int news = 0;
    log.set_observer([&] { ++news; });
    log.opened("a", "/a");
    log.opened("b", "/b");
    log.missed("c", not_found, {});
    EXPECT_EQ(news, 3);
    const auto first = log.since(0, 2);
    ASSERT_EQ(first.size(), 2U);
    EXPECT_EQ(first[0].name, "a");
    EXPECT_EQ(first[1].name, "b");
    const auto rest = log.since(first[1].sequence);
    ASSERT_EQ(rest.size(), 1U);
    EXPECT_EQ(rest[0].name, "c");
    log.opened("a", "/a");
    EXPECT_EQ(log.since(rest[0].sequence).at(0).name, "a");
}

TEST(FileLog, a_dsp_that_names_ever_new_files_fills_a_bounded_place) {
    FileLog log;
    for (std::size_t i = 0; i < 3 * FileLog::most; ++i) log.missed(std::to_string(i), not_found, {});
    const auto reports = log.since(0);
    ASSERT_EQ(reports.size(), FileLog::most);
    EXPECT_EQ(reports.back().name, std::to_string(3 * FileLog::most - 1)) << "the latest are kept";
    EXPECT_EQ(log.misses(), 3 * FileLog::most);
    log.missed("x", "y", std::vector<std::string>(1000, "z"));
    EXPECT_EQ(log.since(0).back().places.size(), FileLog::most_places);
}

} // namespace
} // namespace fastrpc::daemon
