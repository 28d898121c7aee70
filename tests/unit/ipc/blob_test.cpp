// The reverse-call blob, to the byte of USERSPACE 4.6, and against everything that a peer may send instead.
#include "bytes.hpp"

#include "ipc/blob.hpp"
#include "ipc/pack.hpp"

#include <algorithm>
#include <cstring>
#include <gtest/gtest.h>
#include <optional>
#include <random>

using namespace fastrpc;
using namespace fastrpc::test;

namespace {

struct Vector {
    const char* name;
    Scalars scalars;
    std::vector<Bytes> inputs;
    std::vector<std::uint32_t> capacities;
    Bytes request;
    std::vector<Bytes> outputs;
    Bytes reply;
};

Bytes first_bytes_of_an_elf() {
    return hex("7f 45 4c 46 01 01 01 00 00 00 00 00 00 00 00 00 03 00 a4 00 01 00 00 00 00 00 00 00 34 00 00 00");
}

std::vector<Vector> vectors() {
    const Bytes open_request = hex("08 00 00 00 00 00 00 00 09 00 00 00 ff 00 00 00"
                                   "09 00 00 00 00 00 00 00 61 70 70 73 5f 73 74 64"
                                   "00 08 00 00 00 ff 00 00 00");
    const Bytes fopen_request = hex("10 00 00 00 00 00 00 00 12 00 00 00 02 00 00 00"
                                    "16 00 00 00 02 00 00 00 12 00 00 00 00 00 00 00"
                                    "41 44 53 50 5f 4c 49 42 52 41 52 59 5f 50 41 54"
                                    "48 00 02 00 00 00 00 00 3b 00 16 00 00 00 00 00"
                                    "6c 69 62 63 61 6c 63 75 6c 61 74 6f 72 5f 73 6b"
                                    "65 6c 2e 73 6f 00 02 00 00 00 00 00 00 00 00 00"
                                    "72 00 04 00 00 00");
    const Bytes fread_request = hex("08 00 00 00 00 00 00 00 64 00 00 00 20 00 00 00 08 00 00 00 20 00 00 00");
    const Bytes fread_reply = hex("08 00 00 00 00 00 00 00 20 00 00 00 00 00 00 00"
                                  "20 00 00 00 00 00 00 00 7f 45 4c 46 01 01 01 00"
                                  "00 00 00 00 00 00 00 00 03 00 a4 00 01 00 00 00"
                                  "00 00 00 00 34 00 00 00");
    return {
        {"apps_remotectl open(apps_std)",
         {0x00020200},
         {Packer().u32(9).u32(255).bytes(), c_string("apps_std")},
         {8, 255},
         open_request,
         {Packer().u32(1).u32(0).bytes(), Bytes(255)},
         hex("08 00 00 00 00 00 00 00 01 00 00 00 00 00 00 00 ff 00 00 00 00 00 00 00") + Bytes(255)},
        {"fopen_with_env",
         {0x13050100},
         {Packer().u32(18).u32(2).u32(22).u32(2).bytes(), c_string("ADSP_LIBRARY_PATH"), c_string(";"),
          c_string("libcalculator_skel.so"), c_string("r")},
         {4},
         fopen_request,
         {Packer().u32(100).bytes()},
         hex("04 00 00 00 00 00 00 00 64 00 00 00")},
        {"fread",
         {0x04010200},
         {Packer().u32(0x64).u32(32).bytes()},
         {8, 32},
         fread_request,
         {Packer().u32(32).u32(0).bytes(), first_bytes_of_an_elf()},
         fread_reply},
        {"no arguments at all", {0x03000000}, {}, {}, {}, {}, {}},
        {"empty runs are their length word alone",
         Scalars::make(1, 3, 3),
         {Bytes{}, hex("aa"), Bytes{}},
         {0, 1, 0},
         hex("00 00 00 00  01 00 00 00  aa  00 00 00 00  00 00 00 00  01 00 00 00  00 00 00 00"),
         {Bytes{}, hex("bb"), Bytes{}},
         hex("00 00 00 00  01 00 00 00  bb  00 00 00 00")},
    };
}

Result<ReverseRequest> decode(const Vector& v, const Bytes& blob) {
    return decode_request(v.scalars, blob);
}

} // namespace

TEST(Blob, requests_are_encoded_to_the_byte) {
    for (const Vector& v : vectors()) {
        const std::vector<std::span<const std::byte>> inputs(v.inputs.begin(), v.inputs.end());
        EXPECT_EQ(encode_request(inputs, v.capacities), v.request) << v.name;
    }
}

TEST(Blob, requests_are_decoded_to_the_byte) {
    for (const Vector& v : vectors()) {
        const Result<ReverseRequest> request = decode(v, v.request);
        ASSERT_TRUE(request) << v.name << ": " << request.error().text;
        EXPECT_EQ(request->capacities, v.capacities) << v.name;
        ASSERT_EQ(request->inputs.size(), v.inputs.size()) << v.name;
        for (std::size_t i = 0; i < v.inputs.size(); ++i)
            EXPECT_EQ(copy(request->inputs[i]), v.inputs[i]) << v.name << i;
    }
}

TEST(Blob, replies_are_encoded_to_the_byte) {
    ReverseReply reply; // one for all: memory is reused and must come out clean
    for (int round = 0; round < 2; ++round)
        for (const Vector& v : vectors()) {
            lay_out_reply(v.capacities, reply);
            ASSERT_EQ(reply.outputs.size(), v.outputs.size()) << v.name;
            for (std::size_t i = 0; i < v.outputs.size(); ++i) {
                ASSERT_EQ(copy(reply.outputs[i]), Bytes(v.capacities[i])) << v.name << ": not zeroed";
                std::ranges::copy(v.outputs[i], reply.outputs[i].begin());
            }
            EXPECT_EQ(reply.blob(), v.reply) << v.name;
        }
}

TEST(Blob, replies_are_decoded_to_the_byte) {
    for (const Vector& v : vectors()) {
        const auto outputs = decode_reply(v.capacities, v.reply);
        ASSERT_TRUE(outputs) << v.name << ": " << outputs.error().text;
        ASSERT_EQ(outputs->size(), v.outputs.size());
        for (std::size_t i = 0; i < v.outputs.size(); ++i) EXPECT_EQ(copy((*outputs)[i]), v.outputs[i]) << v.name << i;
    }
}

TEST(Blob, the_worked_examples_have_the_sizes_of_the_specification) {
    const std::vector<Vector> all = vectors();
    EXPECT_EQ(all[0].request.size(), 41U);
    EXPECT_EQ(all[0].reply.size(), 279U);
    EXPECT_EQ(all[1].request.size(), 102U);
    EXPECT_EQ(all[1].reply.size(), 12U);
    EXPECT_EQ(all[2].request.size(), 24U);
    EXPECT_EQ(all[2].reply.size(), 56U);
}

TEST(Blob, a_blob_cut_at_any_byte_is_refused) {
    for (const Vector& v : vectors()) {
        for (std::size_t size = 0; size < v.request.size(); ++size) {
            // A copy of exactly that size, so that a sanitizer sees a read past it.
            const Bytes cut(v.request.begin(), v.request.begin() + static_cast<std::ptrdiff_t>(size));
            const Result<ReverseRequest> request = decode(v, cut);
            ASSERT_FALSE(request) << v.name << " cut at " << size;
            EXPECT_EQ(request.error().kind, ErrorKind::invalid);
        }
        for (std::size_t size = 0; size < v.reply.size(); ++size) {
            const Bytes cut(v.reply.begin(), v.reply.begin() + static_cast<std::ptrdiff_t>(size));
            ASSERT_FALSE(decode_reply(v.capacities, cut)) << v.name << " cut at " << size;
        }
    }
}

TEST(Blob, surplus_bytes_are_allowed_because_buffers_are_rounded_up) {
    for (const Vector& v : vectors()) {
        EXPECT_TRUE(decode(v, v.request + Bytes(4096))) << v.name;
        EXPECT_TRUE(decode_reply(v.capacities, v.reply + Bytes(4096))) << v.name;
    }
}

TEST(Blob, the_content_of_padding_is_ignored) {
    Bytes request = vectors()[0].request;
    request[4] = request[7] = request[20] = std::byte{0xEE};
    EXPECT_TRUE(decode(vectors()[0], request));
}

TEST(Blob, handles_are_refused) {
    for (const Scalars scalars : {Scalars::make(0, 0, 0, 1), Scalars::make(0, 0, 0, 0, 1), Scalars{0xFFFFFFFF}})
        EXPECT_FALSE(decode_request(scalars, Bytes(8192)));
}

TEST(Blob, a_length_near_the_end_of_its_type_is_refused) {
    for (const std::uint32_t length : {0xFFFFFFFFU, 0xFFFFFFFCU, 0xFFFFFFF8U, 0x80000000U, 0x7FFFFFFFU, 4089U, 4090U}) {
        Bytes blob(4096);
        std::memcpy(blob.data(), &length, sizeof length);
        EXPECT_FALSE(decode_request(Scalars::make(0, 1, 0), blob)) << length;
        const std::vector<std::uint32_t> capacities{length};
        EXPECT_FALSE(decode_reply(capacities, blob)) << length;
    }
    Bytes fits(4096);
    const std::uint32_t length = 4088;
    std::memcpy(fits.data(), &length, sizeof length);
    EXPECT_TRUE(decode_request(Scalars::make(0, 1, 0), fits));
}

TEST(Blob, capacities_are_capped_in_sum) {
    const auto request = [](std::initializer_list<std::uint32_t> capacities) {
        const Bytes blob = encode_request({}, std::vector<std::uint32_t>(capacities));
        return decode_request(Scalars::make(0, 0, static_cast<unsigned>(capacities.size())), blob).has_value();
    };
    const auto most = static_cast<std::uint32_t>(max_reverse_output);
    EXPECT_TRUE(request({most}));
    EXPECT_FALSE(request({most + 1}));
    EXPECT_TRUE(request({most - 1, 1, 0}));
    EXPECT_FALSE(request({most, 1}));
    EXPECT_FALSE(request({most / 2, most / 2, 1}));
    EXPECT_FALSE(request({0xFFFFFFFF}));
    EXPECT_FALSE(request({1, 0xFFFFFFFF})); // the sum is 0 in 32 bits
    EXPECT_FALSE(request({0x80000000, 0x80000000}));
    EXPECT_FALSE(decode_request(Scalars::make(0, 0, 1), encode_request({}, std::vector<std::uint32_t>{9}), 8));
    // 255 outputs at once
    const std::vector<std::uint32_t> many(255, 0xFFFFFFFF);
    EXPECT_FALSE(decode_request(Scalars::make(0, 0, 255), encode_request({}, many)));
}

TEST(Blob, a_reply_of_another_length_than_asked_for_is_refused) {
    const Vector fread = vectors()[2];
    for (const std::vector<std::uint32_t>& capacities :
         std::vector<std::vector<std::uint32_t>>{{8, 31}, {8, 33}, {7, 32}, {0, 32}, {8, 32, 1}, {8, 0}})
        EXPECT_FALSE(decode_reply(capacities, fread.reply));
}

TEST(Blob, what_is_encoded_is_decoded_for_random_arguments) {
    std::mt19937 random(7);
    for (int round = 0; round < 500; ++round) {
        std::vector<Bytes> inputs(random() % 20);
        for (Bytes& input : inputs) {
            input.resize(random() % 4 == 0 ? 0 : random() % 50);
            for (std::byte& b : input) b = static_cast<std::byte>(random());
        }
        std::vector<std::uint32_t> capacities(random() % 20);
        for (std::uint32_t& capacity : capacities)
            capacity = static_cast<std::uint32_t>(random() % 3 == 0 ? 0 : random() % 99);
        const std::vector<std::span<const std::byte>> views(inputs.begin(), inputs.end());
        const Bytes blob = encode_request(views, capacities);
        const auto request = decode_request(
            Scalars::make(0, static_cast<unsigned>(inputs.size()), static_cast<unsigned>(capacities.size())), blob);
        ASSERT_TRUE(request);
        for (std::size_t i = 0; i < inputs.size(); ++i) ASSERT_EQ(copy(request->inputs[i]), inputs[i]);
        ASSERT_EQ(request->capacities, capacities);
        ReverseReply reply;
        lay_out_reply(capacities, reply);
        std::vector<Bytes> written;
        for (const std::span<std::byte> output : reply.outputs) {
            for (std::byte& b : output) b = static_cast<std::byte>(random());
            written.push_back(copy(output));
        }
        const auto outputs = decode_reply(capacities, reply.bytes);
        ASSERT_TRUE(outputs);
        for (std::size_t i = 0; i < written.size(); ++i) ASSERT_EQ(copy((*outputs)[i]), written[i]);
    }
}

TEST(Blob, random_garbage_never_leads_outside) {
    std::mt19937 random(11);
    std::size_t accepted = 0;
    for (int round = 0; round < 100000; ++round) {
        Bytes blob(random() % 64);
        for (std::byte& b : blob) b = static_cast<std::byte>(random() % 3 == 0 ? random() : random() % 9);
        const Scalars scalars = Scalars::make(0, random() % 4, random() % 4);
        if (const auto request = decode_request(scalars, blob)) {
            ++accepted;
            ASSERT_EQ(request->inputs.size(), scalars.in_buffers());
            ASSERT_EQ(request->capacities.size(), scalars.out_buffers());
            for (const auto& input : request->inputs) {
                if (input.empty()) continue;
                ASSERT_GE(input.data(), blob.data());
                ASSERT_LE(input.data() + input.size(), blob.data() + blob.size());
            }
        }
        const std::vector<std::uint32_t> capacities{static_cast<std::uint32_t>(random() % 9),
                                                    static_cast<std::uint32_t>(random() % 9)};
        if (const auto outputs = decode_reply(capacities, blob)) {
            ASSERT_EQ(outputs->size(), capacities.size());
            for (std::size_t i = 0; i < capacities.size(); ++i) ASSERT_EQ((*outputs)[i].size(), capacities[i]);
        }
    }
    EXPECT_GT(accepted, 100U); // the garbage is not all refused at the first byte
}

TEST(ReplyMemory, no_byte_of_an_earlier_reply_is_in_a_later_one_however_they_follow) {
    std::mt19937 random(7);
    const auto below = [&](std::size_t most) { return std::uniform_int_distribution<std::size_t>(0, most)(random); };
    ReverseReply reply;
    for (int round = 0; round < 20000; ++round) {
        std::vector<std::uint32_t> capacities;
        for (std::size_t i = below(3) + 1; i > 0; --i) capacities.push_back(static_cast<std::uint32_t>(below(300)));
        const bool but_last = below(1) == 1;
        lay_out_reply(capacities, reply, but_last);
        std::size_t filled = reply.outputs.back().size();
        if (but_last) {
            filled = below(filled);
            std::ranges::fill(reply.outputs.back().first(filled), std::byte{0xEE});
            if (below(4) == 0) { // the call failed after it wrote
                finish_reply(reply, std::nullopt);
                continue;
            }
            finish_reply(reply, filled);
        }
        for (std::size_t i = 0; i < reply.outputs.size(); ++i) {
            const auto output = reply.outputs[i];
            const bool is_last = but_last && i + 1 == reply.outputs.size();
            const auto stale = is_last ? output.subspan(filled) : output;
            ASSERT_TRUE(std::ranges::all_of(stale, [](std::byte one) { return one == std::byte{0}; })) << round;
            if (!is_last) std::ranges::fill(output, std::byte{0xEE});
        }
    }
}
