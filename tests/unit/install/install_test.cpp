// What `meson install` gives a distribution: exactly the files of manifest.txt, none of which knows where it was built.
#include "tests/support/scratch.hpp"
#include "tests/support/shell.hpp"

#include <algorithm>
#include <fnmatch.h>
#include <fstream>
#include <gtest/gtest.h>
#include <memory>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <sys/stat.h>
#include <vector>

namespace fastrpc::test {
namespace {

namespace fs = std::filesystem;

std::string text_of(const fs::path& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

std::set<std::string> lines_of(const fs::path& file) {
    std::set<std::string> lines;
    std::ifstream in(file);
    for (std::string line; std::getline(in, line);) lines.insert(line);
    return lines;
}

/// Installed once for all tests, as a package's build does: stripped, below a directory of its own.
class Install : public testing::Test {
protected:
    static void SetUpTestSuite() {
        scratch_ = std::make_unique<Scratch>();
        const Outcome done =
            shell("meson install -C '" BUILD_ROOT "' --no-rebuild --strip --destdir '" + root().string() + "'");
        ASSERT_EQ(done.code, 0) << done.output;
    }
    static void TearDownTestSuite() { scratch_.reset(); }
    static fs::path root() { return scratch_->path("root"); }

    /// All that is there but directories with something in them; the path is the one after the installation.
    static std::vector<fs::directory_entry> entries() {
        std::vector<fs::directory_entry> found;
        for (const auto& entry : fs::recursive_directory_iterator(root()))
            if (entry.is_symlink() || !entry.is_directory() || fs::is_empty(entry)) found.push_back(entry);
        return found;
    }
    static std::string name(const fs::directory_entry& entry) {
        return "/" + entry.path().lexically_relative(root()).string();
    }

private:
    static std::unique_ptr<Scratch> scratch_;
};

std::unique_ptr<Scratch> Install::scratch_;

TEST_F(Install, gives_what_the_manifest_names_and_nothing_else) {
    std::set<std::string> installed;
    for (const auto& entry : entries()) {
        std::string line = name(entry);
        if (entry.is_symlink())
            line += " -> " + fs::read_symlink(entry).string();
        else if (entry.is_directory())
            line += '/';
        installed.insert(line);
    }
    const std::set<std::string> manifest = lines_of(MANIFEST);
    EXPECT_GT(manifest.size(), 30U);
    for (const std::string& line : installed)
        EXPECT_TRUE(manifest.contains(line)) << line << " is new: tests/unit/install/manifest.txt and debian/ want it";
    for (const std::string& line : manifest) EXPECT_TRUE(installed.contains(line)) << line << " is not installed";
}

TEST_F(Install, leaves_nothing_that_points_to_where_it_was_built) {
    const std::vector<std::string> places{BUILD_ROOT, SOURCE_ROOT, root()};
    for (const auto& entry : entries()) {
        if (!entry.is_regular_file()) continue;
        const std::string content = text_of(entry.path());
        for (const std::string& place : places)
            EXPECT_EQ(content.find(place), std::string::npos) << name(entry) << " has " << place << " in it";
        if (!content.starts_with("\177ELF")) continue;
        const Outcome dynamic = shell("readelf --dynamic '" + entry.path().string() + "'");
        EXPECT_EQ(dynamic.code, 0) << dynamic.output;
        EXPECT_FALSE(std::regex_search(dynamic.output, std::regex("R(UN)?PATH"))) << name(entry) << dynamic.output;
    }
}

TEST_F(Install, lets_everybody_read_and_nobody_but_root_write) {
    for (const auto& entry : entries()) {
        if (entry.is_symlink()) continue;
        struct stat status {};
        ASSERT_EQ(::stat(entry.path().c_str(), &status), 0) << name(entry);
        const bool runs = name(entry).starts_with(LIBEXECDIR) || name(entry).starts_with(BINDIR) ||
                          std::regex_search(name(entry), std::regex("\\.so(\\.[0-9]+)?$")) || entry.is_directory();
        EXPECT_EQ(status.st_mode & 07777, runs ? 0755U : 0644U) << name(entry);
    }
}

TEST_F(Install, has_every_file_that_a_unit_or_bus_service_names) {
    unsigned named = 0;
    // In a command, an environment or a condition: what begins with the prefix is ours or a mistake.
    const std::regex setting("(^|\n)[A-Z][A-Za-z]*=([^\n]*)");
    const std::regex file("(^|[ =:!+-])(" PREFIX "/(bin|libexec|lib|share)/[^ :\"]+)");
    for (const auto& entry : entries()) {
        if (!std::set<std::string>{".service", ".socket", ".conf"}.contains(entry.path().extension())) continue;
        const std::string content = text_of(entry.path());
        for (std::sregex_iterator line(content.begin(), content.end(), setting), end; line != end; ++line) {
            const std::string value = (*line)[2];
            for (std::sregex_iterator word(value.begin(), value.end(), file); word != end; ++word) {
                ++named;
                EXPECT_TRUE(fs::exists(root() / (*word)[2].str().substr(1))) << name(entry) << ": " << (*word)[2];
            }
        }
    }
    EXPECT_GE(named, 4U);
}

TEST(DebianPackages, take_every_file_of_the_manifest) {
    std::vector<std::string> patterns;
    for (const char* package : {"fastrpcd", "fastrpc-vdsp", "libfastrpc1", "libfastrpc-dev"})
        for (const std::string& line : lines_of(SOURCE_ROOT "/debian/" + std::string(package) + ".install"))
            patterns.push_back(line.substr(0, line.find(' ')));
    EXPECT_GT(patterns.size(), 20U);
    // What debian/rules configures, and what it moves.
    const std::vector<std::pair<std::string, std::string>> places{{"@bindir@", "usr/bin"},
                                                                  {"@datadir@", "usr/share"},
                                                                  {"@includedir@", "usr/include"},
                                                                  {"@libdir@", "usr/lib/any"},
                                                                  {"@mandir@", "usr/share/man"},
                                                                  {"@libexecdir@", "usr/libexec"},
                                                                  {"@prefix@/lib/systemd/system", "lib/systemd/system"},
                                                                  {"@prefix@/lib/udev", "lib/udev"},
                                                                  {"@prefix@", "usr"}};
    for (std::string file : lines_of(SOURCE_ROOT "/tests/unit/install/manifest.txt")) {
        file = file.substr(0, file.find(' '));
        for (const auto& [place, path] : places)
            if (file.starts_with(place)) file.replace(0, place.size(), path);
        const auto takes = [&](const std::string& pattern) {
            return ::fnmatch(pattern.c_str(), file.c_str(), FNM_PATHNAME | FNM_LEADING_DIR) == 0;
        };
        EXPECT_EQ(std::ranges::count_if(patterns, takes), 1) << file << ": debian/*.install";
    }
}

TEST_F(Install, has_programs_that_run_and_agree_on_the_version) {
    for (const std::string program :
         {BINDIR "/fastrpcctl", BINDIR "/fastrpc-vdsp", LIBEXECDIR "/fastrpcd", LIBEXECDIR "/fastrpc-pd"}) {
        const Outcome ran = shell("'" + root().string() + program + "' --version");
        EXPECT_EQ(ran.code, 0) << program << ": " << ran.output;
        EXPECT_EQ(ran.output, FASTRPCD_VERSION "\n") << program;
    }
}

} // namespace
} // namespace fastrpc::test
