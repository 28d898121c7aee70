#include "tests/fuzz/target.hpp"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <unistd.h>
#include <vector>

using fastrpc::fuzz::one;

#ifdef FASTRPC_FUZZ_WITH_AFL

// What AFL++'s own compiler wrappers would put here. Debian's are bound to one build of g++, so the project uses g++'s
// coverage callbacks with AFL++'s runtime in place of them.
extern "C" {
extern unsigned char* __afl_area_ptr; // 64 KiB
extern unsigned char* __afl_fuzz_ptr;
extern unsigned int* __afl_fuzz_len;
extern int __afl_sharedmem_fuzzing;
int __afl_sharedmem_fuzzing = 1;
void __afl_manual_init();
int __afl_persistent_loop(unsigned int runs);

/// Called by instrumented code at each edge.
__attribute__((no_sanitize_coverage, no_sanitize_address)) void __sanitizer_cov_trace_pc() {
    static thread_local std::uintptr_t before = 0;
    const auto here = reinterpret_cast<std::uintptr_t>(__builtin_return_address(0));
    const std::uintptr_t place = (here >> 4 ^ here << 8) & 0xFFFF;
    ++__afl_area_ptr[place ^ before];
    before = place >> 1;
}
}

// afl-fuzz looks for these in the program's file.
__attribute__((used)) static const char persistent_mark[] = "##SIG_AFL_PERSISTENT##";
__attribute__((used)) static const char deferred_mark[] = "##SIG_AFL_DEFER_FORKSRV##";

int main() {
    __afl_manual_init();
    while (__afl_persistent_loop(10000) != 0) {
        // A copy of exactly its size, so that the sanitizer sees a step over its end.
        const std::vector<unsigned char> copy(__afl_fuzz_ptr, __afl_fuzz_ptr + *__afl_fuzz_len);
        one(std::as_bytes(std::span(copy)));
    }
    return 0;
}

#else

int main(int argc, char** argv) {
    std::vector<std::filesystem::path> files;
    for (int i = 1; i < argc; ++i) {
        if (!std::filesystem::is_directory(argv[i])) {
            files.emplace_back(argv[i]);
            continue;
        }
        for (const auto& entry : std::filesystem::directory_iterator(argv[i])) files.push_back(entry.path());
    }
    if (files.empty()) {
        std::fputs("give the files or directories whose inputs are to be run\n", stderr);
        return 2;
    }
    std::ranges::sort(files);
    for (const auto& path : files) {
        std::ifstream file(path, std::ios::binary);
        const std::string text{std::istreambuf_iterator<char>(file), {}};
        if (!file) {
            std::fprintf(stderr, "%s: cannot be read\n", path.c_str());
            return 1;
        }
        one(std::as_bytes(std::span(text)));
    }
    std::printf("%zu inputs\n", files.size());
    return 0;
}

#endif
