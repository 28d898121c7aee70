// Names of domains, kinds, states and AEE codes.
#include "ipc/aee.hpp"
#include "ipc/domain.hpp"

#include <gtest/gtest.h>
#include <set>

using namespace fastrpc;

TEST(Domain, every_domain_is_found_by_its_name) {
    std::set<std::string_view> names;
    for (const Domain domain : all_domains) {
        EXPECT_EQ(domain_from(to_string(domain)), domain);
        names.insert(to_string(domain));
    }
    EXPECT_EQ(names, (std::set<std::string_view>{"adsp", "mdsp", "sdsp", "cdsp", "cdsp1", "gdsp0", "gdsp1"}));
    for (const std::string_view name : {"", "CDSP", "cdsp2", "cdsp ", "unknown"})
        EXPECT_FALSE(domain_from(name)) << name;
    EXPECT_EQ(to_string(static_cast<Domain>(7)), "unknown");
}

TEST(Domain, numbers_are_those_of_the_shell_files) {
    EXPECT_EQ(static_cast<int>(Domain::adsp), 0);
    EXPECT_EQ(static_cast<int>(Domain::cdsp), 3);
    EXPECT_EQ(static_cast<int>(Domain::gdsp1), 6);
}

TEST(Domain, only_cdsp_and_gdsp_have_unsigned_pds) {
    for (const Domain domain : all_domains)
        EXPECT_EQ(has_unsigned(domain), to_string(domain).substr(1, 3) == "dsp" &&
                                            (to_string(domain)[0] == 'c' || to_string(domain)[0] == 'g'));
}

TEST(PdKind, every_kind_is_found_by_its_name) {
    for (const PdKind kind : all_pd_kinds) EXPECT_EQ(pd_kind_from(to_string(kind)), kind);
    for (const std::string_view name : {"", "Unsigned", "user", "unknown"}) EXPECT_FALSE(pd_kind_from(name)) << name;
    for (const PdKind kind : all_pd_kinds)
        EXPECT_EQ(is_static(kind), kind == PdKind::root || kind == PdKind::audio || kind == PdKind::sensors);
}

TEST(Aee, codes_are_described_for_people) {
    EXPECT_EQ(aee::describe(0), "0x0 (AEE_SUCCESS)");
    EXPECT_EQ(aee::describe(aee::bad_parm), "0xE (AEE_EBADPARM)");
    EXPECT_EQ(aee::describe(aee::on_dsp(aee::bad_state)), "0x8000040D (AEE_EBADSTATE, raised on the DSP)");
    EXPECT_EQ(aee::describe(aee::on_dsp(0x123)), "0x80000523 (raised on the DSP)");
    EXPECT_EQ(aee::describe(aee::loader_failed), "0xFFFFFFFB (the DSP's loader failed)");
    EXPECT_EQ(aee::describe(0x7777), "0x7777");
    EXPECT_EQ(aee::describe(-1), "0xFFFFFFFF");
    EXPECT_EQ(aee::name(0x7777), "");
}
