#include "host_side.hpp"

#include <array>

namespace fastrpc::vdsp::test {
namespace {

constexpr std::uint32_t apps_std = 0x1;

std::string text_of(std::span<const std::byte> bytes) {
    return reinterpret_cast<const char*>(bytes.data());
}

} // namespace

void HostTest::listen(std::int32_t client, unsigned pd, std::uint32_t handle) {
    Loop loop{client, pd, handle, handle == 7 ? 2U : 0U, {}, false};
    ASSERT_EQ(finish(send(client, pd, listener_tid, handle, Scalars::make(loop.offset + 3, 0, 0).word)), 0);
    loop.next = next2(loop, 0, {-1, {}});
    loops_.push_back(std::move(loop));
    between = [this] {
        for (Loop& each : loops_)
            if (answered(each.next)) turn(each);
        std::erase_if(loops_, [](const Loop& each) { return each.ended; });
    };
}

Sent HostTest::next2(const Loop& loop, std::uint32_t context, const HostReply& reply) {
    const std::array<std::uint32_t, 4> in{context, static_cast<std::uint32_t>(reply.result),
                                          static_cast<std::uint32_t>(reply.blob.size()), request_capacity};
    return send(loop.client, loop.pd, listener_tid, loop.handle, Scalars::make(loop.offset + 4, 2, 2).word,
                {input(bytes_of_value(in)), input(reply.blob), output(16), output(request_capacity)});
}

void HostTest::turn(Loop& loop) {
    const std::int32_t result = *machine.answer(loop.next.context);
    if (result != 0) {
        listener_ends.emplace(loop.next.context, result);
        loop.ended = true;
        return;
    }
    const auto out = value_at<std::array<std::uint32_t, 4>>(loop.next.out(0));
    Seen call{out[1], out[2], loop.next.out(1)};
    if (out[3] > request_capacity) {
        ++get_in_bufs;
        const std::uint32_t rest = out[3] - request_capacity;
        const Sent get =
            send(loop.client, loop.pd, listener_tid, loop.handle, Scalars::make(loop.offset + 5, 1, 2).word,
                 {input(bytes_of_value(std::array<std::uint32_t, 3>{out[0], request_capacity, rest})), output(4),
                  output(rest)});
        const auto serving = std::exchange(between, [] {});
        EXPECT_EQ(finish(get), 0);
        between = serving;
        EXPECT_EQ(value_at<std::uint32_t>(get.out(0)), out[3]);
        const Bytes more = get.out(1);
        call.blob.insert(call.blob.end(), more.begin(), more.end());
    }
    call.blob.resize(out[3]);
    seen.push_back(call);
    loop.next = next2(loop, out[0], serve(call));
}

HostReply HostTest::serve_files(const Seen& call) {
    const auto request = decode_request(Scalars{call.scalars}, call.blob);
    if (!request) {
        ADD_FAILURE() << request.error().text;
        return {aee::bad_parm, {}};
    }
    ReverseReply reply;
    lay_out_reply(request->capacities, reply);
    const auto put = [&](const auto& value) { std::memcpy(reply.outputs.at(0).data(), &value, sizeof value); };
    if (call.handle == 0 && call.method() == 0) {
        put(apps_std);
        return {0, reply.blob()};
    }
    if (call.handle != apps_std) return {aee::no_such_mod, {}};
    if (call.method() == 19) {
        const std::string name = text_of(request->inputs.at(3));
        if (!files.contains(name)) return {2, {}};
        open_files_[next_fd_] = {name, 0};
        put(next_fd_++);
        return {0, reply.blob()};
    }
    const auto open = open_files_.find(value_at<std::uint32_t>(request->inputs.at(0)));
    if (open == open_files_.end()) return {9, {}};
    auto& [name, position] = open->second;
    const Bytes& file = files.at(name);
    switch (call.method()) {
    case 3:
        open_files_.erase(open);
        return {0, reply.blob()};
    case 10:
        put(std::uint64_t{file.size()});
        return {0, reply.blob()};
    case 4: {
        const std::size_t count = std::min<std::size_t>(reply.outputs.at(1).size(), file.size() - position);
        std::copy_n(file.begin() + static_cast<std::ptrdiff_t>(position), count, reply.outputs[1].begin());
        put(static_cast<std::uint32_t>(count));
        position += count;
        return {0, reply.blob()};
    }
    default:
        return {aee::unsupported, {}};
    }
}

Sent HostTest::send_open(std::int32_t client, unsigned pd, std::string_view uri, std::int32_t tid) {
    Bytes name = bytes_of_text(uri);
    name.push_back(std::byte{0});
    const std::array<std::uint32_t, 2> in{static_cast<std::uint32_t>(name.size()), 255};
    return send(client, pd, tid, 8, 0x02020200, {input(bytes_of_value(in)), input(name), output(8), output(255)});
}

HostTest::Opened HostTest::opened(const Sent& sent) {
    Opened result;
    result.result = finish(sent);
    result.handle = value_at<std::uint32_t>(sent.out(0));
    result.dl_error = value_at<std::int32_t>(sent.out(0), 4);
    result.text = text_of(sent.out(1));
    return result;
}

std::string HostTest::uri_of(std::string_view interface) {
    const std::string name(interface);
    return "file:///lib" + name + "_skel.so?" + name + "_skel_handle_invoke&_modver=1.0&_dom=cdsp";
}

std::uint32_t HostTest::run_test_module(std::int32_t client) {
    if (!dsp) start();
    files["libtest_skel.so"] = file_bytes(TEST_SKEL);
    EXPECT_EQ(create(client), 0);
    listen(client, 1);
    const Opened module = open(client, 1, uri_of("test"));
    EXPECT_EQ(module.result, 0);
    EXPECT_EQ(module.dl_error, 0) << module.text;
    EXPECT_GE(module.handle, 16U);
    return module.handle;
}

} // namespace fastrpc::vdsp::test
