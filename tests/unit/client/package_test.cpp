// The library as others get it: what it exports, and that a program builds with nothing but what is installed.
#include "tests/support/scratch.hpp"
#include "tests/support/shell.hpp"

#include <fstream>
#include <gtest/gtest.h>
#include <set>
#include <sstream>
#include <string>

namespace fastrpc::test {
namespace {

std::string text_of(const std::string& file) {
    std::ifstream in(file);
    return {std::istreambuf_iterator<char>(in), {}};
}

/// Defined dynamic symbols, "name@@version".
std::set<std::string> exported() {
    const Outcome list = shell("nm --dynamic --defined-only --with-symbol-versions '" FASTRPC_LIBRARY "'");
    EXPECT_EQ(list.code, 0) << list.output;
    std::set<std::string> symbols;
    std::istringstream lines(list.output);
    for (std::string address, kind, name; lines >> address >> kind >> name;)
        if (kind != "A") symbols.insert(name); // A: the version itself
    return symbols;
}

TEST(Package, exports_the_functions_of_the_header_and_nothing_else_under_one_version) {
    std::set<std::string> declared;
    const std::string header = text_of(FASTRPC_SOURCE "/client/fastrpc.h");
    // A declaration stands at the start of a line and ends with a semicolon: "int fastrpc_x(...".
    std::istringstream lines(header);
    for (std::string line; std::getline(lines, line);) {
        const auto at = line.find("fastrpc_");
        const auto end = line.find('(');
        if (line.empty() || line[0] == ' ' || line[0] == '/' || line[0] == '#' || line.starts_with("typedef") ||
            line[0] == '}' || at == std::string::npos || end == std::string::npos)
            continue;
        const auto name = line.rfind("fastrpc_", end);
        declared.insert(line.substr(name, end - name) + "@@FASTRPC_1");
    }
    EXPECT_GT(declared.size(), 25U);
    EXPECT_EQ(exported(), declared);
}

TEST(Package, the_manual_names_every_function_and_constant) {
    // The page has its hyphens and underscores escaped.
    std::string manual;
    for (const char c : text_of(FASTRPC_MANUAL))
        if (c != '\\') manual += c;
    EXPECT_GT(manual.size(), 5000U);
    for (const std::string& symbol : exported()) {
        const std::string name = symbol.substr(0, symbol.find('@'));
        EXPECT_NE(manual.find(name), std::string::npos) << name;
    }
    std::istringstream words(text_of(FASTRPC_SOURCE "/client/fastrpc.h"));
    unsigned constants = 0;
    for (std::string word, name; words >> word;) {
        if (word != "#define" || !(words >> name)) continue;
        name = name.substr(0, name.find('('));
        if (!name.starts_with("FASTRPC_") || name == "FASTRPC_CLIENT_FASTRPC_H") continue;
        ++constants;
        EXPECT_NE(manual.find(name), std::string::npos) << name;
    }
    EXPECT_GT(constants, 40U);
}

TEST(Package, a_c_program_builds_and_runs_with_what_is_installed) {
    Scratch scratch;
    const std::string root = scratch.path("root");
    const Outcome installed =
        shell("meson install -C '" FASTRPC_BUILD "' --no-rebuild --tags devel,libfastrpc --destdir '" + root + "'");
    ASSERT_EQ(installed.code, 0) << installed.output;
    std::ofstream(scratch.path("program.c")) << "#include <fastrpc.h>\n"
                                                "#include <string.h>\n"
                                                "int main(void) {\n"
                                                "    fastrpc_session* session = NULL;\n"
                                                "    fastrpc_error error;\n"
                                                "    fastrpc_open_options options;\n"
                                                "    memset(&options, 0, sizeof options);\n"
                                                "    options.bus_address = \"unix:path=/nonexistent\";\n"
                                                "    return fastrpc_session_open(&options, &session, &error) == "
                                                "FASTRPC_ECONNREFUSED ? 42 : 1;\n"
                                                "}\n";
    const std::string pc = shell("find '" + root + "' -name fastrpc.pc").output;
    ASSERT_FALSE(pc.empty());
    const std::string directory = pc.substr(0, pc.rfind('/'));
    const std::string flags = "$(PKG_CONFIG_PATH='" + directory + "' pkg-config --define-variable=prefix='" + root +
                              FASTRPC_PREFIX "' --cflags --libs fastrpc)";
    const std::string program = scratch.path("program");
    const Outcome built = shell(FASTRPC_CC " -std=c99 -pedantic-errors -Wall -Wextra -Werror -o '" + program + "' '" +
                                scratch.path("program.c").string() + "' " + flags);
    ASSERT_EQ(built.code, 0) << built.output;
    // Where the library was installed is where the linker found it.
    const Outcome ran = shell("LD_LIBRARY_PATH='" + directory.substr(0, directory.rfind('/')) + "' '" + program + "'");
    EXPECT_EQ(ran.code, 42) << ran.output;
}

} // namespace
} // namespace fastrpc::test
