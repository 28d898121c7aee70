// The tree that hostile_cases.hpp speaks of: what a careless or hostile vendor could put there, and a secret beside it.
#pragma once

#include "tests/integration/static_pd.hpp"

#include <sys/sysmacros.h>

namespace fastrpc::test {

/// Scripts that do nothing, so that nobody but the test asks the host for anything.
inline std::filesystem::path silent_firmware(const Scratch& scratch) {
    for (const char* pd : {"root", "audio", "sensors"}) scratch.file(std::string("firmware/") + pd + ".json", "[]");
    std::filesystem::permissions(scratch.path(), std::filesystem::perms(0755));
    return scratch.path("firmware");
}

inline std::string known_bytes() {
    std::string bytes;
    for (std::size_t i = 0; i < 10'000; ++i) bytes += static_cast<char>(7 * i + i / 256 + 31 * 5);
    return bytes;
}

/// The tree, beneath `scratch`.
inline void make_hostile_tree(const Scratch& scratch) {
    namespace fs = std::filesystem;
    scratch.file("tree/known", known_bytes());
    scratch.file("tree/dir/one", "1");
    scratch.file("tree/dir/two", "2");
    scratch.file("tree/hidden", "hidden");
    scratch.file("secret", "secret");
    const fs::path tree = scratch.path("tree");
    fs::permissions(tree / "hidden", fs::perms::none);
    fs::create_symlink("known", tree / "link_in");
    fs::create_symlink("/etc/passwd", tree / "link_out");
    fs::create_symlink("../secret", tree / "link_up");
    fs::create_symlink("link_loop", tree / "link_loop");
    fs::create_symlink("/proc/self/maps", tree / "link_proc");
    fs::create_symlink("/proc/self/fd/0", tree / "link_fd");
    fs::create_symlink("..", tree / "dir_out");
    const auto node = [&](const char* name, mode_t kind, dev_t device) {
        if (::mknod((tree / name).c_str(), kind | 0666, device) != 0)
            ADD_FAILURE() << name << ": " << errno_text(errno);
    };
    node("fifo", S_IFIFO, 0);
    node("null", S_IFCHR, makedev(1, 3));
    node("zero", S_IFCHR, makedev(1, 5));
    node("disk", S_IFBLK, makedev(7, 0));
    node("socket", S_IFSOCK, 0);
}

/// What pd.d says of a PD with that tree.
inline json hostile_definition(const Scratch& scratch) {
    return {{"files",
             {{{"at", "/fw"}, {"from", {scratch.path("tree").string()}}, {"searched", true}},
              {{"at", "/rw"}, {"state", "rw"}}}},
            {"environment", {{"FW", "/fw"}, {"ESCAPE", "/etc"}}},
            {"restart", {{"first_ms", 50}, {"longest_ms", 50}}}}; // the tests crash it often
}

/// The host opens, reads and closes /fw/known, and its bytes are right.
inline json serve_well(const StaticPd& pd) {
    return pd.run(json::parse(R"([{"do":"fopen_with_env","env":"ADSP_LIBRARY_PATH","name":"known","as":"f","expect":0},
                                  {"do":"read","fd":"$f","bytes":{"pattern":10000,"seed":5},"expect":0},
                                  {"do":"fclose","fd":"$f","expect":0}])"));
}
inline bool serves(const StaticPd& pd) {
    return stack::eventually([&] { return serve_well(pd).value("state", "") == "done"; });
}

} // namespace fastrpc::test
