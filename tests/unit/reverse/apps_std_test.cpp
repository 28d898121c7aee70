// The DSP's C library, method by method.
#include "std_fixture.hpp"

#include <sys/stat.h>

namespace fastrpc::daemon {
namespace {

TEST_F(Std, fopen_with_env_opens_from_the_tree_by_either_name_of_the_search_list) {
    for (const char* env : {"ADSP_LIBRARY_PATH", "DSP_LIBRARY_PATH", "ADSP_LIBRARY_PATH_V2"}) {
        const Answer answer = fopen_env(env, "lib.so");
        EXPECT_EQ(answer.result, 0) << env;
        EXPECT_GE(answer.word(0), 100U);
    }
    EXPECT_EQ(stats_.files_served, 3U);
}

TEST_F(Std, fopen_with_env_of_an_unset_variable_is_a_bad_parameter) {
    for (const char* env : {"ADSP_AVS_CFG_PATH", "", "PATH", "LIBRARY_PATH"})
        EXPECT_EQ(fopen_env(env, "lib.so").result, aee::bad_parm) << env;
    EXPECT_EQ(stats_.files_served, 0U);
}

TEST_F(Std, a_missing_file_is_enoent_and_remembered) {
    EXPECT_EQ(fopen_env("ADSP_LIBRARY_PATH", "libabsent.so").result, ENOENT);
    EXPECT_EQ(stats_.files.misses(), 1U);
    EXPECT_EQ(stats_.files.last_missed(), "libabsent.so");
    EXPECT_EQ(fopen("absent2").result, ENOENT);
    EXPECT_EQ(stats_.files.last_missed(), "absent2");
    EXPECT_EQ(fopen_env("ADSP_LIBRARY_PATH", "oemconfig.so").result, ENOENT);
    EXPECT_EQ(fopen_env("ADSP_LIBRARY_PATH", "testsig-0x1.so").result, ENOENT);
    EXPECT_EQ(fopen_env("ADSP_LIBRARY_PATH", "librpcversion_skel.so").result, ENOENT);
    EXPECT_EQ(stats_.files.misses(), 2U);
}

TEST_F(Std, an_escape_is_eacces_and_remembered_as_refused) {
    std::filesystem::create_symlink("/etc/passwd", scratch_.path() / "link.so");
    for (const char* name : {"../secret", "/etc/passwd", "link.so"}) {
        EXPECT_EQ(fopen_env("ADSP_LIBRARY_PATH", name).result, EACCES) << name;
        EXPECT_EQ(fopen(name).result, EACCES) << name;
        EXPECT_TRUE(stats_.files.last_missed().starts_with(name)) << stats_.files.last_missed();
        EXPECT_NE(stats_.files.last_missed().find("refused"), std::string::npos);
    }
    EXPECT_EQ(stats_.files.misses(), 6U);
    EXPECT_EQ(stats_.files_served, 0U);
}

TEST_F(Std, reading_modes_open_and_writing_modes_do_not) {
    for (const char* mode : {"r", "rb", "rt"}) EXPECT_EQ(fopen("lib.so", mode).result, 0) << mode;
    for (const char* mode : {"r+", "rb+", "r+b", "w", "wb", "w+", "a", "a+"}) {
        EXPECT_EQ(fopen("lib.so", mode).result, EROFS) << mode;
        EXPECT_EQ(fopen_env("ADSP_LIBRARY_PATH", "new", mode).result, EROFS) << mode;
    }
    for (const char* mode : {"", "x", "+r"}) EXPECT_EQ(fopen("lib.so", mode).result, EINVAL) << mode;
    EXPECT_FALSE(std::filesystem::exists(scratch_.path() / "new"));
    EXPECT_EQ(std::filesystem::file_size(scratch_.path() / "lib.so"), 10U);
}

TEST_F(Std, numbers_are_reused_and_capped) {
    for (std::uint32_t i = 0; i < 4; ++i) EXPECT_EQ(opened("lib.so"), 100 + i);
    EXPECT_EQ(fopen("lib.so").result, EMFILE);
    EXPECT_EQ(of_file(3, 102).result, 0);
    EXPECT_EQ(of_file(3, 102).result, EBADF);
    EXPECT_EQ(opened("lib.so"), 102U);
    EXPECT_EQ(stats_.files_served, 5U);
}

TEST_F(Std, freopen_puts_another_file_under_the_same_number) {
    const std::uint32_t fd = opened("lib.so");
    fread(fd, 4);
    const auto reopen = [&](std::uint32_t number, std::string_view name, std::string_view mode) {
        return call(1, {prim({number, length(name), length(mode)}), string(name), string(mode)}, {4});
    };
    EXPECT_EQ(reopen(fd, "absent", "r").result, ENOENT);
    EXPECT_EQ(reopen(fd, "text", "w").result, EROFS);
    EXPECT_EQ(tell(fd), 4U) << "what cannot be reopened stays";
    const Answer answer = reopen(fd, "text", "rb");
    EXPECT_EQ(answer.result, 0);
    EXPECT_EQ(answer.word(0), fd);
    EXPECT_EQ(fread(fd, 3).text(1), "one");
    EXPECT_EQ(reopen(fd + 1, "text", "r").result, EBADF);
    EXPECT_EQ(files_.count(), 1U);
}

TEST_F(Std, fread_gives_bytes_count_and_end) {
    const std::uint32_t fd = opened("lib.so");
    Answer answer = fread(fd, 4);
    EXPECT_EQ(answer.result, 0);
    EXPECT_EQ(answer.word(0), 4U);
    EXPECT_EQ(answer.word(1), 0U);
    EXPECT_EQ(answer.text(1), "0123");
    answer = fread(fd, 8);
    EXPECT_EQ(answer.result, 0);
    EXPECT_EQ(answer.word(0), 6U);
    EXPECT_NE(answer.word(1), 0U);
    EXPECT_EQ(answer.text(1), std::string("456789\0\0", 8)) << "the rest of the capacity is zero";
    answer = fread(fd, 8);
    EXPECT_EQ(answer.result, 0) << "nothing at the end is no error";
    EXPECT_EQ(answer.word(0), 0U);
    EXPECT_NE(answer.word(1), 0U);
    EXPECT_EQ(stats_.bytes_served, 10U);
}

TEST_F(Std, fread_of_less_than_its_buffer_leaves_the_rest_zero) {
    const Answer answer = call(4, {prim({opened("lib.so"), 3})}, {16, 6});
    EXPECT_EQ(answer.result, 0);
    EXPECT_EQ(answer.word(0), 3U);
    EXPECT_EQ(answer.word(1), 0U);
    EXPECT_EQ(answer.word(2), 0U) << "a longer primOut is zero as well";
    EXPECT_EQ(answer.text(1), std::string("012\0\0\0", 6));
}

TEST_F(Std, fread_of_nothing_is_fine) {
    const Answer answer = fread(opened("lib.so"), 0);
    EXPECT_EQ(answer.result, 0);
    EXPECT_EQ(answer.word(0), 0U);
    EXPECT_EQ(answer.word(1), 0U);
}

TEST_F(Std, seek_tell_length_and_rewind) {
    const std::uint32_t fd = opened("lib.so");
    EXPECT_EQ(tell(fd), 0U);
    EXPECT_EQ(fseek(fd, 7, 0).result, 0);
    EXPECT_EQ(tell(fd), 7U);
    EXPECT_EQ(fseek(fd, -2, 1).result, 0);
    EXPECT_EQ(fread(fd, 1).text(1), "5");
    EXPECT_EQ(fseek(fd, -1, 2).result, 0);
    EXPECT_EQ(fread(fd, 1).text(1), "9");
    EXPECT_EQ(fseek(fd, -1, 0).result, EINVAL);
    EXPECT_EQ(fseek(fd, 0, 3).result, EINVAL);
    EXPECT_EQ(tell(fd), 10U);
    EXPECT_EQ(of_file(11, fd).result, 0);
    EXPECT_EQ(tell(fd), 0U);
    const Answer flen = of_file(10, fd, {8});
    EXPECT_EQ(flen.result, 0);
    EXPECT_EQ(flen.word(0), 10U);
    EXPECT_EQ(flen.word(1), 0U);
}

TEST_F(Std, a_position_beyond_31_bits_cannot_be_told) {
    const std::uint32_t fd = opened("lib.so");
    EXPECT_EQ(fseek(fd, 0x7FFFFFFF, 0).result, 0);
    EXPECT_EQ(tell(fd), 0x7FFFFFFFU);
    EXPECT_EQ(fseek(fd, 1, 1).result, 0);
    EXPECT_EQ(of_file(8, fd, {4}).result, EOVERFLOW);
}

TEST_F(Std, feof_ferror_and_clearerr_follow_the_stream) {
    const std::uint32_t fd = opened("lib.so");
    const auto feof = [&] { return of_file(12, fd, {4}).word(0); };
    EXPECT_EQ(feof(), 0U);
    fread(fd, 10);
    EXPECT_EQ(feof(), 0U);
    fread(fd, 1);
    EXPECT_EQ(feof(), 1U);
    EXPECT_EQ(of_file(14, fd).result, 0);
    EXPECT_EQ(feof(), 0U);
    fread(fd, 1);
    EXPECT_EQ(of_file(11, fd).result, 0);
    EXPECT_EQ(feof(), 0U);
    const Answer ferror = of_file(13, fd, {4});
    EXPECT_EQ(ferror.result, 0);
    EXPECT_EQ(ferror.word(0), 0U);
}

TEST_F(Std, fgets_gives_lines) {
    const std::uint32_t fd = opened("text");
    const auto fgets = [&](std::uint32_t size) { return call(20, {prim({fd, size})}, {4, size}); };
    EXPECT_EQ(fgets(8).text(1), std::string("one\n\0\0\0\0", 8));
    EXPECT_EQ(fgets(3).text(1), std::string("tw\0", 3));
    EXPECT_EQ(fgets(3).text(1), std::string("o\n\0", 3));
    const Answer end = fgets(3);
    EXPECT_EQ(end.result, 0);
    EXPECT_EQ(end.word(0), 1U);
    EXPECT_EQ(end.text(1), std::string(3, '\0'));
    EXPECT_EQ(stats_.bytes_served, 8U);
}

TEST_F(Std, a_position_can_be_kept_and_restored) {
    const std::uint32_t fd = opened("lib.so");
    fseek(fd, 6, 0);
    const Answer kept = call(6, {prim({fd, 16})}, {4, 16});
    EXPECT_EQ(kept.result, 0);
    EXPECT_EQ(kept.word(0), 8U);
    of_file(11, fd);
    const Bytes position(kept.outputs[1].begin(), kept.outputs[1].begin() + 8);
    EXPECT_EQ(call(7, {prim({fd, 8}), position}).result, 0);
    EXPECT_EQ(tell(fd), 6U);
    EXPECT_EQ(call(6, {prim({fd, 2})}, {4, 2}).word(0), 8U) << "a cut copy still tells the true size";
    EXPECT_EQ(call(7, {prim({fd, 4}), Bytes(4)}).result, EBADF);
    EXPECT_EQ(call(7, {prim({fd, 8}), Bytes(8, std::byte{0xFF})}).result, EINVAL);
    EXPECT_EQ(call(7, {prim({fd, 9}), Bytes(8)}).result, aee::bad_parm);
    EXPECT_EQ(call(6, {prim({fd, 17})}, {4, 16}).result, aee::bad_parm);
    EXPECT_EQ(tell(fd), 6U);
}

TEST_F(Std, flushing_is_fine_for_an_open_file) {
    const std::uint32_t fd = opened("lib.so");
    for (const unsigned method : {2U, 23U}) {
        EXPECT_EQ(of_file(method, fd).result, 0);
        EXPECT_EQ(of_file(method, fd + 1).result, EBADF);
    }
}

TEST_F(Std, a_file_that_is_not_open_is_ebadf_for_every_method) {
    for (const std::uint32_t fd : {0U, 3U, 99U, 100U, 0x7FFFFFFFU, 0xFFFFFFFFU}) {
        EXPECT_EQ(fread(fd, 4).result, EBADF);
        EXPECT_EQ(call(20, {prim({fd, 4})}, {4, 4}).result, EBADF);
        EXPECT_EQ(call(6, {prim({fd, 8})}, {4, 8}).result, EBADF);
        EXPECT_EQ(call(7, {prim({fd, 8}), Bytes(8)}).result, EBADF);
        EXPECT_EQ(fseek(fd, 0, 0).result, EBADF);
        for (const unsigned method : {2U, 3U, 11U, 14U, 23U}) EXPECT_EQ(of_file(method, fd).result, EBADF) << method;
        for (const unsigned method : {8U, 10U, 12U, 13U}) EXPECT_EQ(of_file(method, fd, {8}).result, EBADF) << method;
    }
}

TEST_F(Std, print_string_takes_any_text) {
    EXPECT_EQ(call(15, {prim({6}), string("hello")}).result, 0);
    EXPECT_EQ(call(15, {prim({1}), string("")}).result, 0);
    EXPECT_EQ(call(15, {prim({4}), string("\n\x1b\xff")}).result, 0);
    EXPECT_EQ(call(15, {prim({5}), string("hello")}).result, aee::bad_parm) << "no NUL within the declared length";
    EXPECT_EQ(call(15, {prim({0}), string("hello")}).result, aee::bad_parm);
    EXPECT_EQ(call(15, {prim({7}), string("hello")}).result, aee::bad_parm);
}

TEST_F(Std, getenv_knows_only_its_own_map) {
    const auto getenv = [&](std::string_view name, std::uint32_t size) {
        return call(16, {prim({length(name), size}), string(name)}, {4, size});
    };
    const Answer fits = getenv("SET", 6);
    EXPECT_EQ(fits.result, 0);
    EXPECT_EQ(fits.word(0), 6U);
    EXPECT_EQ(fits.text(1), std::string("value\0", 6));
    const Answer tight = getenv("SET", 5);
    EXPECT_EQ(tight.result, 0);
    EXPECT_EQ(tight.word(0), 6U);
    EXPECT_EQ(tight.text(1), std::string(5, '\0')) << "no half values";
    EXPECT_EQ(getenv("SET", 0).word(0), 6U);
    EXPECT_EQ(getenv("EMPTY", 4).word(0), 1U);
    for (const char* name : {"PATH", "HOME", "LD_PRELOAD", "", "SE", "SET2"})
        EXPECT_EQ(getenv(name, 64).result, -1) << name;
    EXPECT_EQ(call(16, {prim({4, 65}), string("SET")}, {4, 64}).result, aee::bad_parm);
}

TEST_F(Std, file_exists_answers_one_byte) {
    const auto exists = [&](std::string_view name) { return call(22, {prim({length(name)}), string(name)}, {1}); };
    scratch_.directory("dir");
    for (const char* name : {"lib.so", "dir"}) {
        EXPECT_EQ(exists(name).result, 0);
        EXPECT_EQ(exists(name).outputs[0], Bytes{std::byte{1}}) << name;
    }
    for (const char* name : {"absent", "/etc/passwd", "../x", ""}) {
        EXPECT_EQ(exists(name).result, 0) << name;
        EXPECT_EQ(exists(name).outputs[0], Bytes{std::byte{0}}) << name;
    }
    EXPECT_EQ(stats_.files.misses(), 0U) << "to ask is not to miss";
}

TEST_F(Std, stat_fills_its_96_bytes) {
    const auto stat = [&](std::string_view name, std::uint32_t capacity = 96) {
        return call(31, {prim({31, length(name)}), string(name)}, {capacity});
    };
    const Answer answer = stat("lib.so");
    ASSERT_EQ(answer.result, 0);
    struct stat truth {};
    ASSERT_EQ(::stat((scratch_.path() / "lib.so").c_str(), &truth), 0);
    const auto at = [&](std::size_t offset, std::size_t size) {
        std::uint64_t value = 0;
        std::memcpy(&value, answer.outputs[0].data() + offset, size);
        return value;
    };
    EXPECT_EQ(at(0, 8), 0U);
    EXPECT_EQ(at(8, 8), truth.st_dev);
    EXPECT_EQ(at(16, 8), truth.st_ino);
    EXPECT_EQ(at(24, 4), truth.st_mode);
    EXPECT_EQ(at(28, 4), 1U);
    EXPECT_EQ(at(32, 8), truth.st_rdev);
    EXPECT_EQ(at(40, 8), 10U);
    EXPECT_EQ(at(48, 8), static_cast<std::uint64_t>(truth.st_atim.tv_sec));
    EXPECT_EQ(at(64, 8), static_cast<std::uint64_t>(truth.st_mtim.tv_sec));
    EXPECT_EQ(at(72, 8), static_cast<std::uint64_t>(truth.st_mtim.tv_nsec));
    EXPECT_EQ(at(80, 8), static_cast<std::uint64_t>(truth.st_ctim.tv_sec));
    EXPECT_EQ(at(88, 8), static_cast<std::uint64_t>(truth.st_ctim.tv_nsec));
    EXPECT_EQ(stat("absent").result, ENOENT);
    EXPECT_EQ(stat("../x").result, EACCES);
    EXPECT_EQ(stat("lib.so", 95).result, aee::bad_parm);
    EXPECT_EQ(stat("lib.so", 100).result, 0);
    EXPECT_EQ(stats_.files_served, 0U) << "nothing was opened for the DSP";
    EXPECT_EQ(files_.count(), 0U);
}

TEST_F(Std, a_name_above_the_cap_is_too_long) {
    EXPECT_EQ(fopen(std::string(max_file_name + 1, 'a')).result, ENAMETOOLONG);
}

TEST_F(Std, strings_stop_at_their_first_nul) {
    Bytes name = string("lib.so");
    name.resize(20, std::byte{'x'});
    EXPECT_EQ(call(0, {prim({20, 2}), name, string("r")}, {4}).result, 0);
}

TEST_F(Std, methods_that_write_are_refused_as_read_only) {
    const std::uint32_t fd = opened("lib.so");
    EXPECT_EQ(call(5, {prim({fd, 1}), Bytes(1)}, {8}).result, EBADF) << "not open for writing";
    EXPECT_EQ(call(24, {prim({7}), string("lib.so")}).result, EROFS);
    EXPECT_EQ(call(29, {prim({2, 0755}), string("d")}).result, EROFS);
    EXPECT_EQ(call(30, {prim({2}), string("d")}).result, EROFS);
    EXPECT_EQ(call(31, {prim({32, fd, 0})}).result, EINVAL) << "not open for writing";
    EXPECT_EQ(call(31, {prim({33, 7, 2}), string("lib.so"), string("x")}).result, EROFS);
    EXPECT_EQ(std::filesystem::file_size(scratch_.path() / "lib.so"), 10U);
}

TEST_F(Std, methods_that_are_not_served_are_unsupported_whatever_they_bring) {
    for (const std::size_t inputs : {0U, 1U, 4U})
        EXPECT_EQ(call(25, std::vector<Bytes>(inputs, Bytes(16)), {}).result, aee::unsupported) << "fdopen_decrypt";
    for (const std::uint32_t id : {37U, 1000U, 0xFFFFFFFFU})
        EXPECT_EQ(call(31, {prim({id, 1})}).result, aee::unsupported) << id;
}

/// A good call of every method with arguments, to be spoiled: too many or too few buffers, a primIn a byte too short.
TEST_F(Std, every_method_checks_its_arity_and_its_prims) {
    struct Row {
        unsigned method;
        std::vector<Bytes> inputs;
        std::vector<std::uint32_t> capacities;
        std::uint32_t prim_out; // 0: none
    };
    const Bytes r = string("r");
    const Bytes lib = string("lib.so");
    const auto rows = [&](std::uint32_t fd) {
        return std::vector<Row>{
            {0, {prim({7, 2}), lib, r}, {4}, 4},
            {1, {prim({fd, 7, 2}), lib, r}, {4}, 4},
            {2, {prim({fd})}, {}, 0},
            {4, {prim({fd, 4})}, {8, 4}, 8},
            {6, {prim({fd, 8})}, {4, 8}, 4},
            {7, {prim({fd, 8}), Bytes(8)}, {}, 0},
            {8, {prim({fd})}, {4}, 4},
            {9, {prim({fd, 0, 0})}, {}, 0},
            {10, {prim({fd})}, {8}, 8},
            {11, {prim({fd})}, {}, 0},
            {12, {prim({fd})}, {4}, 4},
            {13, {prim({fd})}, {4}, 4},
            {14, {prim({fd})}, {}, 0},
            {15, {prim({2}), r}, {}, 0},
            {16, {prim({4, 8}), string("SET")}, {4, 8}, 4},
            {17, {prim({2, 2, 1}), string("N"), string("V")}, {}, 0},
            {18, {prim({2}), string("N")}, {}, 0},
            {19, {prim({18, 2, 7, 2}), string("ADSP_LIBRARY_PATH"), string(";"), lib, r}, {4}, 4},
            {20, {prim({fd, 4})}, {4, 4}, 4},
            {22, {prim({7}), lib}, {1}, 1},
            {23, {prim({fd})}, {}, 0},
            {26, {prim({2}), string(".")}, {8}, 8},
            {28, {prim({1, 0})}, {264}, 264},
            {27, {prim({1, 0})}, {}, 0},
            {31, {prim({31, 7}), lib}, {96}, 96},
            {3, {prim({fd})}, {}, 0},
        };
    };
    for (Row& row : rows(opened("lib.so"))) {
        SCOPED_TRACE("method " + std::to_string(row.method));
        const auto asked = [&](const std::vector<Bytes>& inputs, const std::vector<std::uint32_t>& capacities) {
            return call(row.method, inputs, capacities).result;
        };
        std::vector<Bytes> inputs = row.inputs;
        inputs.push_back(Bytes(4));
        EXPECT_EQ(asked(inputs, row.capacities), aee::bad_parm) << "an input too many";
        inputs = row.inputs;
        inputs.pop_back();
        EXPECT_EQ(asked(inputs, row.capacities), aee::bad_parm) << "an input too few";
        inputs = row.inputs;
        inputs[0].pop_back();
        EXPECT_EQ(asked(inputs, row.capacities), aee::bad_parm) << "a short primIn";
        std::vector<std::uint32_t> capacities = row.capacities;
        capacities.push_back(4);
        EXPECT_EQ(asked(row.inputs, capacities), aee::bad_parm) << "an output too many";
        if (!row.capacities.empty()) {
            capacities = row.capacities;
            capacities.pop_back();
            EXPECT_EQ(asked(row.inputs, capacities), aee::bad_parm) << "an output too few";
            capacities = row.capacities;
            capacities[0] = row.prim_out - 1;
            EXPECT_EQ(asked(row.inputs, capacities), aee::bad_parm) << "a short primOut";
        }
        for (std::size_t i = 1; i < row.inputs.size() && row.method != 7; ++i) {
            inputs = row.inputs;
            inputs[i].back() = std::byte{'x'};
            EXPECT_EQ(asked(inputs, row.capacities), aee::bad_parm) << "a string without its NUL, input " << i;
            inputs[i].clear();
            EXPECT_EQ(asked(inputs, row.capacities), aee::bad_parm) << "an empty string, input " << i;
        }
        inputs = row.inputs;
        inputs[0].resize(inputs[0].size() + 8);
        EXPECT_EQ(asked(inputs, row.capacities), 0) << "a longer primIn is fine";
        if (row.method == 0 || row.method == 19) static_cast<void>(files_.take(101));
    }
    EXPECT_EQ(files_.count(), 0U);
}

} // namespace
} // namespace fastrpc::daemon
