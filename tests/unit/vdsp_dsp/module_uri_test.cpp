#include "vdsp/dsp/pd/module_uri.hpp"

#include <gtest/gtest.h>

namespace fastrpc::vdsp {
namespace {

TEST(ModuleUri, a_file_uri_has_all_its_parts) {
    const auto uri = parse_module_uri("file:///libx_skel.so?x_skel_handle_invoke&_modver=1.0&_dom=cdsp1&_session=2");
    ASSERT_TRUE(uri);
    EXPECT_FALSE(uri->bare);
    EXPECT_EQ(uri->file, "libx_skel.so");
    EXPECT_EQ(uri->symbol, "x_skel_handle_invoke");
    EXPECT_EQ(uri->version, "1.0");
    EXPECT_EQ(uri->domain, "cdsp1");
}

TEST(ModuleUri, options_are_optional) {
    const auto uri = parse_module_uri("file:///./flac_dec_module.so.1?entry");
    ASSERT_TRUE(uri);
    EXPECT_EQ(uri->file, "./flac_dec_module.so.1");
    EXPECT_EQ(uri->version, "");
    EXPECT_EQ(uri->domain, "");
}

TEST(ModuleUri, a_bare_name_is_built_in) {
    const auto uri = parse_module_uri("adsp_default_listener");
    ASSERT_TRUE(uri);
    EXPECT_TRUE(uri->bare);
    EXPECT_EQ(uri->file, "adsp_default_listener");
}

TEST(ModuleUri, anything_else_is_refused) {
    for (const char* text : {"", "file:///", "file:///x", "file:///?y", "file:///x?", "file:///x?&_modver=1.0",
                             "file://x?y", "http://x?y", "/etc/passwd", "a?b", "'\":;./\\geteventfd"})
        EXPECT_FALSE(parse_module_uri(text)) << text;
}

} // namespace
} // namespace fastrpc::vdsp
