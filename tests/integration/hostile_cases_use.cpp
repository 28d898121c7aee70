#include "tests/integration/hostile_cases.hpp"

#include <fmt/core.h>

namespace fastrpc::test {
namespace {

using nlohmann::json;

constexpr int bad_parm = 0xE, unsupported = 0x14, no_memory = 2, no_such_map = 0x48;
// Errnos as the DSP gets them.
constexpr int not_found = 2, bad_file = 9, refused = 13, exists = 17, no_directory = 20, is_directory = 21,
              invalid = 22, too_long = 36, overflow = 75, no_space = 28, read_only = 30, stale = 116, not_empty = 39;

HostileCase simple(std::string name, const char* steps, json codes) {
    return {std::move(name), json::parse(steps), std::move(codes)};
}

} // namespace

HostileCases wrong_numbers() {
    HostileCases cases;
    // Each stream method, with numbers that are no file.
    for (const char* step :
         {R"({"do":"fflush"})", R"({"do":"fclose"})", R"({"do":"fread","size":16})",
          R"({"do":"fwrite","data":{"zeros":4}})", R"({"do":"fgetpos","size":8})",
          R"({"do":"fsetpos","pos":{"zeros":8}})", R"({"do":"ftell"})", R"({"do":"fseek","offset":0})",
          R"({"do":"flen"})", R"({"do":"rewind"})", R"({"do":"feof"})", R"({"do":"ferror"})", R"({"do":"clearerr"})",
          R"({"do":"fgets","size":16})", R"({"do":"fsync"})", R"({"do":"ftrunc","length":0})",
          R"({"do":"freopen","name":"known"})"})
        for (const std::uint32_t fd : {0U, 1U, 99U, 355U, 0x7FFFFFFFU, 0x80000000U, 0xFFFFFFFFU}) {
            json call = json::parse(step);
            call["fd"] = fd;
            cases.push_back({fmt::format("{} of fd {:#x}", call["do"].get<std::string>(), fd), json::array({call}),
                             json::array({bad_file})});
        }
    for (const char* method : {"readdir", "closedir"})
        for (const auto& [handle, code] : {std::pair<std::uint64_t, int>{0, invalid},
                                           {1ULL << 20, stale},
                                           {1ULL << 31, stale},
                                           {1ULL << 32, stale},
                                           {~0ULL, stale}})
            cases.push_back({fmt::format("{} of handle {:#x}", method, handle),
                             json::array({{{"do", method}, {"dir", handle}}}), json::array({code})});
    cases.push_back(simple("fclose twice", R"([{"do":"fopen","name":"known","as":"f"},{"do":"fclose","fd":"$f"},
        {"do":"fclose","fd":"$f"},{"do":"fread","fd":"$f","size":4}])",
                           {0, 0, bad_file, bad_file}));
    cases.push_back(simple("closedir twice", R"([{"do":"opendir","name":"dir","as":"d"},{"do":"closedir","dir":"$d"},
        {"do":"closedir","dir":"$d"},{"do":"readdir","dir":"$d"}])",
                           {0, 0, stale, stale}));
    cases.push_back(simple("a directory handle as a file and the reverse", R"([{"do":"opendir","name":"dir","as":"d"},
        {"do":"fread","fd":"$d","size":4},{"do":"fopen","name":"known","as":"f"},{"do":"readdir","dir":"$f"},
        {"do":"fclose","fd":"$f"},{"do":"closedir","dir":"$d"}])",
                           {0, bad_file, 0, stale, 0, 0}));
    cases.push_back(simple("a read past the end", R"([{"do":"fopen","name":"known","as":"f"},
        {"do":"fseek","fd":"$f","offset":100,"whence":2},{"do":"fread","fd":"$f","size":64,"as":"x"},
        {"do":"check","of":"$x","bytes":{"zeros":0}},{"do":"feof","fd":"$f","as":"e"},{"do":"check","of":"$e","number":1},
        {"do":"fclose","fd":"$f"}])",
                           {0, 0, 0, 0, 0, 0, 0}));
    cases.push_back(simple("a read of 16 bytes where 10 are left", R"([{"do":"fopen","name":"known","as":"f"},
        {"do":"fseek","fd":"$f","offset":-10,"whence":2},{"do":"fread","fd":"$f","size":16,"as":"x"},
        {"do":"take","of":"$x","at":9,"size":1},{"do":"fclose","fd":"$f"}])",
                           {0, 0, 0, 0, 0}));
    cases.push_back(simple("a position beyond 31 bits", R"([{"do":"fopen","name":"known","as":"f"},
        {"do":"fseek","fd":"$f","offset":2147483647},{"do":"ftell","fd":"$f"},
        {"do":"fseek","fd":"$f","offset":2147483647,"whence":1},{"do":"ftell","fd":"$f"},
        {"do":"fread","fd":"$f","size":8,"as":"x"},{"do":"check","of":"$x","bytes":{"zeros":0}},{"do":"fclose","fd":"$f"}])",
                           {0, 0, 0, 0, overflow, 0, 0, 0}));
    for (const char* seek :
         {R"("offset":-1)", R"("offset":-10001,"whence":2)", R"("offset":-1,"whence":1)", R"("offset":0,"whence":3)",
          R"("offset":0,"whence":4294967295)", R"("offset":2147483648,"whence":0)"})
        cases.push_back(simple(fmt::format("fseek with {}", seek),
                               fmt::format(R"([{{"do":"fopen","name":"known","as":"f"}},{{"do":"fseek","fd":"$f",{}}},
                                               {{"do":"fclose","fd":"$f"}}])",
                                           seek)
                                   .c_str(),
                               {0, invalid, 0}));
    for (const char* position : {"[18446744073709551615]", "[9223372036854775808]"})
        cases.push_back(simple(fmt::format("fsetpos to {}", position),
                               fmt::format(R"([{{"do":"fopen","name":"known","as":"f"}},
                                   {{"do":"fsetpos","fd":"$f","pos":{{"u64":{}}}}},{{"do":"fclose","fd":"$f"}}])",
                                           position)
                                   .c_str(),
                               {0, invalid, 0}));
    return cases;
}

HostileCases wrong_names() {
    HostileCases cases;
    const auto open = [&](const std::string& what, const json& name, int code) {
        json steps = json::array({{{"do", "fopen"}, {"name", name}, {"as", "f"}}});
        if (code == 0) steps.push_back({{"do", "fclose"}, {"fd", "$f"}});
        cases.push_back({"fopen of " + what, steps, code == 0 ? json::array({0, 0}) : json::array({code})});
    };
    open("an empty name", "", not_found);
    open("a name without NUL", {{"text", "known"}}, bad_parm);
    open("a name that is only NULs", {{"zeros", 8}}, not_found);
    open("a name with a NUL in the middle", json::array({"known", "and more"}), 0);
    open("a name that ends before its declared length without NUL", json::array({{{"text", "kno"}}}), bad_parm);
    open("a name of 255 letters", json::array({{{"fill", 255}, {"byte", 97}}, {{"zeros", 1}}}), not_found);
    open("a name of 256 letters", json::array({{{"fill", 256}, {"byte", 97}}, {{"zeros", 1}}}), too_long);
    open("a name of 64 KiB", json::array({{{"fill", 65536}, {"byte", 97}}, {{"zeros", 1}}}), too_long);
    open("64 KiB of slashes", json::array({{{"fill", 65536}, {"byte", 47}}, {{"zeros", 1}}}), too_long);
    open("bytes that are no UTF-8", {{"hex", "fffe80c000"}}, not_found);
    open("control characters", {{"hex", "0a1b5b324a00"}}, not_found);
    open("..", "..", refused);
    open("../secret", "../secret", refused);
    open("dir/../known", "dir/../known", refused);
    open("/fw/../secret", "/fw/../secret", refused);
    open("/fw/dir/../../secret", "/fw/dir/../../secret", refused);
    open("a thousand levels up",
         json::array({{{"hex",
                        [] {
                            std::string up;
                            for (int i = 0; i < 1000; ++i) up += "2e2e2f";
                            return up;
                        }()}},
                      "etc/passwd"}),
         refused);
    open("/", "/", refused);
    open("/etc/passwd", "/etc/passwd", refused);
    open("/proc/self/maps", "/proc/self/maps", refused);
    open("/proc/self/fd/0", "/proc/self/fd/0", refused);
    open("/dev/fastrpc-adsp-secure", "/dev/fastrpc-adsp-secure", refused);
    open("/fwx/known", "/fwx/known", refused);
    open("//fw///known", "//fw///known", 0);
    open("./known", "./known", 0);
    open("known/", "known/", no_directory);
    open("known/beneath", "known/beneath", no_directory);
    open("a directory", "dir", refused);
    open("the tree itself", "/fw", refused);
    open(".", ".", refused);
    open("a link that stays in the tree", "link_in", 0);
    open("a link out", "link_out", refused);
    open("a link up", "link_up", refused);
    open("a link to itself", "link_loop", refused);
    open("a link into procfs", "link_proc", refused);
    open("a link to our own fds", "link_fd", refused);
    open("a file through a link out", "dir_out/secret", refused);
    open("a FIFO", "fifo", refused);
    open("a character device", "null", refused);
    open("a device that never ends", "zero", refused);
    open("a block device", "disk", refused);
    open("a socket", "socket", refused);
    open("a file that its owner hides", "hidden", refused);
    open("a file that is being written", ".fastrpc-draft-1", refused);
    for (const char* mode : {"", "q", "+", " r", ","})
        cases.push_back({fmt::format("fopen with mode \"{}\"", mode),
                         json::array({{{"do", "fopen"}, {"name", "known"}, {"mode", mode}}}), json::array({invalid})});
    cases.push_back(simple("fopen with a mode of 64 KiB", R"([{"do":"fopen","name":"known",
        "mode":[{"text":"r"},{"fill":65535,"byte":98},{"zeros":1}],"as":"f"},{"do":"fclose","fd":"$f"}])",
                           {0, 0}));
    for (const char* name : {"link_out", "link_up", "fifo", "null", "../secret", "/etc/passwd"})
        cases.push_back(
            {fmt::format("stat of {}", name), json::array({{{"do", "stat"}, {"name", name}}}), json::array({refused})});
    cases.push_back(
        simple("stat of what is not there", R"([{"do":"stat","name":"nothing"}])", json::array({not_found})));
    for (const auto& [name, code] : {std::pair{"known", no_directory},
                                     {"fifo", no_directory},
                                     {"dir_out", refused},
                                     {"..", refused},
                                     {"/etc", refused},
                                     {"/proc/self", refused},
                                     {"nothing", not_found}})
        cases.push_back({fmt::format("opendir of {}", name), json::array({{{"do", "opendir"}, {"name", name}}}),
                         json::array({code})});
    for (const char* name : {"link_out", "../secret", "/etc/passwd", "nothing", ""})
        cases.push_back({fmt::format("fileExists of \"{}\"", name),
                         json::array({{{"do", "fileExists"}, {"name", name}, {"as", "is"}},
                                      {{"do", "check"}, {"of", "$is"}, {"number", 0}}}),
                         json::array({0, 0})});
    const auto listed = [&](const char* what, const char* env, const char* name, int code) {
        cases.push_back(
            {what, json::array({{{"do", "fopen_with_env"}, {"env", env}, {"name", name}}}), json::array({code})});
    };
    listed("a search list that is not set", "UNSET", "known", bad_parm);
    listed("a search list that leads out", "ESCAPE", "passwd", refused);
    listed("an absolute name in a search list", "FW", "/etc/passwd", not_found);
    listed("a way up in a search list", "FW", "../secret", refused);
    listed("a link out in a search list", "FW", "link_out", refused);
    listed("a library path with a way up", "ADSP_LIBRARY_PATH", "../../../etc/passwd", refused);
    cases.push_back(simple("a search list that the DSP set to lead out",
                           R"([{"do":"setenv","name":"MINE","value":"/etc;/fw/..;.."},
        {"do":"fopen_with_env","env":"MINE","name":"passwd"},{"do":"unsetenv","name":"MINE"}])",
                           {0, refused, 0}));
    cases.push_back(simple("an empty delimiter",
                           R"([{"do":"fopen_with_env","env":"FW","delimiter":"","name":"known","as":"f"},
        {"do":"fclose","fd":"$f"}])",
                           {0, 0}));
    cases.push_back(simple("variables of the loader, which are the DSP's own",
                           R"([{"do":"setenv","name":"LD_PRELOAD","value":"/tmp/x.so"},
        {"do":"unsetenv","name":"LD_PRELOAD"},{"do":"getenv","name":"PATH"},{"do":"getenv","name":"FASTRPC_VDSP_SOCKET"}])",
                           {0, 0, -1, -1}));
    cases.push_back(simple("variables without a name", R"([{"do":"setenv","name":"","value":"x"},
        {"do":"setenv","name":"a=b","value":"x"},{"do":"unsetenv","name":"a=b"}])",
                           {invalid, invalid, invalid}));
    return cases;
}

HostileCases wrong_writes() {
    HostileCases cases;
    for (const char* step :
         {R"({"do":"fopen","name":"/fw/known","mode":"w"})", R"({"do":"fopen","name":"/fw/known","mode":"a"})",
          R"({"do":"fopen","name":"/fw/known","mode":"r+"})", R"({"do":"fopen","name":"/fw/new","mode":"wx"})",
          R"({"do":"fopen","name":"new","mode":"w"})", R"({"do":"fopen_with_env","env":"FW","name":"new","mode":"w"})",
          R"({"do":"fremove","name":"/fw/known"})", R"({"do":"mkdir","name":"/fw/new"})",
          R"({"do":"rmdir","name":"/fw/dir"})", R"({"do":"frename","from":"/fw/known","to":"/fw/new"})",
          R"({"do":"frename","from":"/fw/known","to":"/rw/new"})", R"({"do":"fopen","name":"/etc/new","mode":"w"})",
          R"({"do":"fremove","name":"/etc/passwd"})", R"({"do":"mkdir","name":"/tmp/new"})",
          R"({"do":"rmdir","name":"/tmp"})", R"({"do":"frename","from":"/etc/passwd","to":"/rw/new"})"})
        cases.push_back({step, json::array({json::parse(step)}), json::array({read_only})});
    for (const char* step :
         {R"({"do":"fopen","name":"/rw/../new","mode":"w"})", R"({"do":"fremove","name":"/rw/../secret"})",
          R"({"do":"mkdir","name":"../new"})", R"({"do":"frename","from":"/rw/..","to":"/rw/new"})"})
        cases.push_back({step, json::array({json::parse(step)}), json::array({refused})});
    cases.push_back(simple("writing to a file that is open for reading", R"([{"do":"fopen","name":"known","as":"f"},
        {"do":"fwrite","fd":"$f","data":{"zeros":8}},{"do":"ftrunc","fd":"$f","length":0},{"do":"fclose","fd":"$f"}])",
                           {0, bad_file, invalid, 0}));
    cases.push_back(simple("reading from a file that is open for writing",
                           R"([{"do":"fopen","name":"/rw/f","mode":"w","as":"f"},
        {"do":"fread","fd":"$f","size":8},{"do":"fclose","fd":"$f"},{"do":"fremove","name":"/rw/f"}])",
                           {0, bad_file, 0, 0}));
    cases.push_back(simple("directories as files",
                           R"([{"do":"mkdir","name":"/rw/d"},{"do":"fopen","name":"/rw/d","mode":"w"},
        {"do":"fopen","name":"/rw/d/x","mode":"w","as":"f"},{"do":"fclose","fd":"$f"},{"do":"rmdir","name":"/rw/d"},
        {"do":"mkdir","name":"/rw/d"},{"do":"fremove","name":"/rw/d/x"},{"do":"rmdir","name":"/rw/d"},{"do":"rmdir","name":"/rw/d"}])",
                           {0, is_directory, 0, 0, not_empty, exists, 0, 0, not_found}));
    cases.push_back(simple("lengths of files that nobody has room for",
                           R"([{"do":"fopen","name":"/rw/f","mode":"w","as":"f"},
        {"do":"ftrunc","fd":"$f","length":2147483647},{"do":"ftrunc","fd":"$f","length":-1},
        {"do":"fseek","fd":"$f","offset":2147483647},{"do":"fwrite","fd":"$f","data":{"zeros":8}},
        {"do":"fclose","fd":"$f"},{"do":"fremove","name":"/rw/f"}])",
                           {0, no_space, invalid, 0, no_space, 0, 0}));
    cases.push_back(simple("removing and renaming what is not there", R"([{"do":"fremove","name":"/rw/none"},
        {"do":"frename","from":"/rw/none","to":"/rw/other"},{"do":"rmdir","name":"/rw/none"},
        {"do":"fopen","name":"/rw/none/f","mode":"w"},{"do":"fopen","name":"/rw/none","mode":"r+"}])",
                           {not_found, not_found, not_found, not_found, not_found}));
    cases.push_back(simple("a file that is renamed and removed while it is open",
                           R"([{"do":"fopen","name":"/rw/f","mode":"w","as":"f"},
        {"do":"fwrite","fd":"$f","data":{"pattern":100}},{"do":"fsync","fd":"$f"},{"do":"frename","from":"/rw/f","to":"/rw/g"},
        {"do":"fwrite","fd":"$f","data":{"zeros":4}},{"do":"fremove","name":"/rw/g"},{"do":"fclose","fd":"$f"},
        {"do":"fopen","name":"/rw/g"}])",
                           {0, 0, 0, 0, 0, 0, 0, not_found}));
    return cases;
}

HostileCases wrong_memory() {
    HostileCases cases;
    const auto one = [&](std::string name, const char* step, int code) {
        cases.push_back({std::move(name), json::array({json::parse(step)}), json::array({code})});
    };
    one("a heap of 0 bytes", R"({"do":"request_map64","flags":4096,"size":0})", bad_parm);
    one("a heap of -1 bytes", R"({"do":"request_map64","flags":4096,"size":-1})", bad_parm);
    one("a heap of -2^63 bytes", R"({"do":"request_map64","flags":4096,"size":"0x8000000000000000"})", bad_parm);
    one("a heap of 2^63-1 bytes", R"({"do":"request_map64","flags":4096,"size":"0x7FFFFFFFFFFFFFFF"})", no_memory);
    one("a heap of 2^31 bytes", R"({"do":"request_map64","flags":4096,"size":"0x80000000"})", no_memory);
    one("a heap of 2^32-1 bytes", R"({"do":"request_map64","flags":4096,"size":"0xFFFFFFFF"})", no_memory);
    one("a heap of a byte above the cap", R"({"do":"request_map64","flags":4096,"size":67108865})", no_memory);
    one("a 32-bit heap of 0 bytes", R"({"do":"request_map","flags":4096,"size":0})", bad_parm);
    one("a 32-bit heap of 2^31 bytes, which is negative", R"({"do":"request_map","flags":4096,"size":"0x80000000"})",
        bad_parm);
    one("a 32-bit heap of -1 bytes", R"({"do":"request_map","flags":4096,"size":-1})", bad_parm);
    one("a 32-bit heap above the cap", R"({"do":"request_map","flags":4096,"size":"0x7FFFFFFF"})", no_memory);
    for (const char* flags : {"0x20000", "0x80000000", "0xFFFFFFFF", "0x11000"})
        one(fmt::format("a map with flags {}", flags),
            fmt::format(R"({{"do":"request_map64","flags":"{}","size":4096}})", flags).c_str(), bad_parm);
    for (const char* address : {"0", "1", "0x1000", "0x7fff0000", "0x80000000", "0xFFFFFFFF"}) {
        for (const char* size : {"0", "1", "4096", "0x80000000", "0xFFFFFFFF"})
            one(fmt::format("unmapping {} bytes at {}", size, address),
                fmt::format(R"({{"do":"request_unmap","address":"{}","size":"{}"}})", address, size).c_str(),
                no_such_map);
        for (const char* size : {"0", "4096", "0xFFFFFFFFFFFFFFFF", "0x8000000000000000"})
            one(fmt::format("unmapping {} bytes at {}, 64 bits", size, address),
                fmt::format(R"({{"do":"request_unmap64","address":"{}","size":"{}"}})", address, size).c_str(),
                no_such_map);
    }
    cases.push_back(simple("unmapping with other sizes, and twice",
                           R"([{"do":"request_map64","flags":4096,"size":8192,"as":"p"},
        {"do":"request_unmap64","address":"$p","size":4096},{"do":"request_unmap64","address":"$p","size":0},
        {"do":"request_unmap64","address":"$p+4096","size":4096},{"do":"request_unmap64","address":"$p","size":-1},
        {"do":"request_unmap64","address":"$p","size":8192},{"do":"request_unmap64","address":"$p","size":8192}])",
                           {0, no_such_map, no_such_map, no_such_map, no_such_map, 0, no_such_map}));
    cases.push_back(simple("heap up to the cap and not a page more",
                           R"([{"do":"request_map64","flags":4096,"size":33554432,"as":"a"},
        {"do":"request_map64","flags":4096,"size":32505856,"as":"b"},{"do":"request_map64","flags":4096,"size":1048577},
        {"do":"request_unmap64","address":"$a","size":33554432},{"do":"request_map64","flags":4096,"size":1048577,"as":"c"},
        {"do":"request_unmap64","address":"$b","size":32505856},{"do":"request_unmap64","address":"$c","size":1048577}])",
                           {0, 0, no_memory, 0, 0, 0, 0}));
    cases.push_back(simple("a heap in pieces of a page, given back in turn", R"([{"do":"repeat","times":200,"steps":[
        {"do":"request_map64","flags":4096,"size":1,"as":"p"},{"do":"request_unmap64","address":"$p","size":1}]}])",
                           json::array({{{"0", 400}}})));
    // Numbers that can be no fd, and the host's own, none of which was ever shared (USERSPACE 6.3).
    for (const auto& [fd, code] :
         {std::pair{"0", bad_parm}, {"0xFFFFFFFF", bad_parm}, {"3", no_such_map}, {"0x7FFFFFFF", no_such_map}}) {
        one(fmt::format("sharing fd {}", fd), fmt::format(R"({{"do":"share_map","fd":"{}","size":4096}})", fd).c_str(),
            code);
        one(fmt::format("mapping handle {}", fd),
            fmt::format(R"({{"do":"dma_handle_map","fd":"{}","size":4096}})", fd).c_str(), code);
        one(fmt::format("unmapping handle {}", fd),
            fmt::format(R"({{"do":"dma_handle_unmap","fd":"{}","size":4096}})", fd).c_str(), no_such_map);
    }
    one("mapping 0 bytes of a handle", R"({"do":"dma_handle_map","fd":3,"size":0})", bad_parm);
    one("unmapping what was never shared", R"({"do":"share_unmap","address":4096,"size":4096})", no_such_map);
    return cases;
}

HostileCases wrong_logs() {
    HostileCases cases;
    const auto pushed = [&](std::string name, json length, json nodes, int code) {
        cases.push_back({std::move(name),
                         json::array({{{"do", "raw"},
                                       {"interface", "adspmsgd_apps"},
                                       {"method", 0},
                                       {"in", json::array({std::move(length), std::move(nodes)})}}}),
                         json::array({code})});
    };
    pushed("no log line", 0, {{"zeros", 0}}, 0);
    pushed("a byte of a log line", 1, {{"zeros", 1}}, 0);
    pushed("a log line less a byte", 255, {{"zeros", 255}}, 0);
    pushed("a log line of bytes without NUL", 256, {{"fill", 256}, {"byte", 255}}, 0);
    pushed("a log line of control characters", 256, {{"fill", 256}, {"byte", 27}}, 0);
    pushed("ten thousand log lines", 2560000, {{"fill", 2560000}, {"byte", 65}}, 0);
    pushed("more log lines than there are", 512, {{"zeros", 256}}, bad_parm);
    pushed("2^31 bytes of log lines", 1ULL << 31, {{"zeros", 256}}, bad_parm);
    pushed("2^32-1 bytes of log lines", (1ULL << 32) - 1, {{"zeros", 256}}, bad_parm);
    pushed("a length of 3 bytes", {{"zeros", 3}}, {{"zeros", 256}}, bad_parm);
    const auto raw = [&](std::string name, const char* step, int code) {
        cases.push_back({std::move(name), json::array({json::parse(step)}), json::array({code})});
    };
    raw("log lines without a length", R"({"do":"raw","interface":"adspmsgd_apps","method":0,"in":[]})", bad_parm);
    raw("log lines and an output",
        R"({"do":"raw","interface":"adspmsgd_apps","method":0,"in":[0,{"zeros":0}],"out":[8]})", bad_parm);
    raw("an unknown method of adspmsgd_apps", R"({"do":"raw","interface":"adspmsgd_apps","method":1,"in":[0]})",
        unsupported);
    const std::size_t rings = cases.size();
    for (const char* index : {"0xFFFFFFFF", "0x80000000", "0x3FFFC", "0x3FFFB", "1"})
        cases.push_back({fmt::format("a ring whose index is {}", index),
                         json::array({{{"do", "ring_poke"}, {"at", -4}, {"bytes", {{"u32", index}}}},
                                      {{"do", "sleep_ms"}, {"ms", 20}},
                                      {{"do", "ring_poke"}, {"at", -4}, {"bytes", {{"u32", 0}}}}}),
                         json::array({0, 0, 0})});
    cases.push_back(simple("a ring without a NUL", R"([{"do":"ring_poke","at":0,"bytes":{"fill":200000,"byte":65}},
        {"do":"ring_poke","at":-4,"bytes":{"u32":199999}},{"do":"sleep_ms","ms":20}])",
                           {0, 0, 0}));
    cases.push_back(simple("a ring whose index moves while it is read", R"([{"do":"parallel","scripts":[
        [{"do":"repeat","times":2000,"steps":[{"do":"ring_poke","at":-4,"bytes":{"u32":7}},{"do":"ring_poke","at":-4,"bytes":{"u32":199999}},
                                              {"do":"ring_poke","at":-4,"bytes":{"u32":4294967295}}]}],
        [{"do":"repeat","times":2000,"steps":[{"do":"ring","text":"a line in between"}]}]]}])",
                           json::array({{{"0", 8002}}})));
    for (std::size_t i = rings; i < cases.size(); ++i) cases[i].new_reader = true;
    return cases;
}

HostileCases greed() {
    HostileCases cases;
    cases.push_back(simple("100,000 opens without a close",
                           R"([{"do":"repeat","times":100000,"steps":[{"do":"fopen","name":"known"}]},
        {"do":"set","as":"n","number":100},
        {"do":"repeat","times":256,"steps":[{"do":"fclose","fd":"$n"},{"do":"set","as":"n","number":"$n+1"}]}])",
                           json::array({{{"0", 256}, {"24", 99744}}, 0, {{"0", 512}}})));
    cases.push_back(simple("1,000 directories without a close", R"([{"do":"opendir","name":"dir","as":"first"},
        {"do":"repeat","times":999,"steps":[{"do":"opendir","name":"dir"}]},
        {"do":"repeat","times":32,"steps":[{"do":"closedir","dir":"$first"},{"do":"set","as":"first","number":"$first+1"}]}])",
                           json::array({0, {{"0", 31}, {"24", 968}}, {{"0", 64}}})));
    cases.push_back(simple("1,000 handles of an interface", R"([{"do":"repeat","times":1000,"steps":[
        {"do":"remotectl_open","name":"apps_std","as":"h"}]},{"do":"repeat","times":1000,"steps":[
        {"do":"remotectl_close","handle":"$h"}]}])",
                           json::array({{{"0", 1000}}, {{"0", 1000}}})));
    cases.push_back(simple("variables of any size",
                           R"([{"do":"setenv","name":[{"fill":65536,"byte":97},{"zeros":1}],"value":"x"},
        {"do":"setenv","name":"BIG","value":[{"fill":65536,"byte":97},{"zeros":1}]},{"do":"getenv","name":"BIG"}])",
                           {7, 7, -1}));
    cases.push_back(simple("1,000 variables", R"([{"do":"set","as":"n","number":0},
        {"do":"repeat","times":1000,"steps":[{"do":"setenv","name":"VAR${n}","value":"x"},{"do":"set","as":"n","number":"$n+1"}]},
        {"do":"set","as":"n","number":0},
        {"do":"repeat","times":1000,"steps":[{"do":"unsetenv","name":"VAR${n}"},{"do":"set","as":"n","number":"$n+1"}]}])",
                           json::array({0, {{"0", 1254}, {"12", 746}}, 0, {{"0", 2000}}})));
    cases.push_back(simple("a read into 16 MiB",
                           R"([{"do":"fopen","name":"known","as":"f"},{"do":"fread","fd":"$f","size":16777208,"as":"x"},
        {"do":"check","of":"$x","bytes":{"pattern":10000,"seed":5}},{"do":"fclose","fd":"$f"}])",
                           {0, 0, 0, 0}));
    cases.push_back(simple("a read into more than 16 MiB", R"([{"do":"fopen","name":"known","as":"f"},
        {"do":"raw","interface":"apps_std","method":4,"in":[[{"u32":"$f"},16777216]],"out":[8,16777216]},{"do":"fclose","fd":"$f"}])",
                           {0, bad_parm, 0}));
    cases.push_back(simple("a text of 8 MiB",
                           R"([{"do":"print_string","text":[{"fill":8388608,"byte":65},{"zeros":1}]}])",
                           json::array({0})));
    cases.push_back(simple("eight threads that read one file",
                           R"([{"do":"parallel","threads":8,"steps":[{"do":"repeat","times":50,
        "steps":[{"do":"fopen","name":"known","as":"f"},{"do":"read","fd":"$f","sizes":[4096,1],"bytes":{"pattern":10000,"seed":5}},
                 {"do":"fclose","fd":"$f"}]}]}])",
                           json::array({{{"0", 8 * (50 * 3 + 1)}}})));
    cases.push_back(simple("two threads that close each other's file", R"([{"do":"fopen","name":"known","as":"f"},
        {"do":"parallel","threads":2,"steps":[{"do":"fclose","fd":"$f"}]}])",
                           json::array({0, {{"0", 1}, {"9", 1}}})));
    cases.push_back(simple("threads that write and replace one file", R"([{"do":"parallel","scripts":[
        [{"do":"repeat","times":20,"steps":[{"do":"fopen","name":"/rw/a","mode":"w","as":"f","expect":0},
          {"do":"fwrite","fd":"$f","data":{"pattern":5000,"seed":1},"expect":0},{"do":"fclose","fd":"$f","expect":0},
          {"do":"frename","from":"/rw/a","to":"/rw/shared","expect":0}]}],
        [{"do":"repeat","times":20,"steps":[{"do":"fopen","name":"/rw/b","mode":"w","as":"f","expect":0},
          {"do":"fwrite","fd":"$f","data":{"pattern":5000,"seed":1},"expect":0},{"do":"fclose","fd":"$f","expect":0},
          {"do":"frename","from":"/rw/b","to":"/rw/shared","expect":0}]}]]},
        {"do":"fopen","name":"/rw/shared","as":"f"},{"do":"read","fd":"$f","bytes":{"pattern":5000,"seed":1}},
        {"do":"fclose","fd":"$f"},{"do":"fremove","name":"/rw/shared"}])",
                           json::array({{{"0", 162}}, 0, 0, 0, 0})));
    return cases;
}

} // namespace fastrpc::test
