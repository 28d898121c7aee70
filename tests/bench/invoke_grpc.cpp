// Contender "gRPC": each call a unary call over a Unix socket that carries the bytes; each client has a channel.
#include "echo.grpc.pb.h"
#include "tests/bench/rounds.hpp"

#include <CLI/CLI.hpp>
#include <grpcpp/grpcpp.h>
#include <vector>

using namespace fastrpc;

namespace {

std::shared_ptr<grpc::Channel> own_channel(const std::string& path) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1); // else all channels of the program share a connection
    arguments.SetMaxReceiveMessageSize(-1);
    arguments.SetMaxSendMessageSize(-1);
    return grpc::CreateCustomChannel("unix:" + path, grpc::InsecureChannelCredentials(), arguments);
}

class StubCaller final : public bench::Caller {
public:
    StubCaller(const std::string& path, const bench::Payload& payload) :
        stub_(bench::wire::Echo::NewStub(own_channel(path))), payload_(payload), in_(payload.bytes) {
        request_.set_registered(payload.registered);
    }
    std::span<std::byte> input() override { return in_; }
    Result<std::int32_t> call() override {
        // Each contender takes the input from memory of the caller's.
        request_.set_input(in_.data(), in_.size());
        grpc::ClientContext context;
        const grpc::Status done = stub_->Call(&context, request_, &reply_);
        if (!done.ok()) return fail(ErrorKind::system, "a gRPC call: " + done.error_message());
        return reply_.result();
    }
    [[nodiscard]] std::span<const std::byte> output() const override {
        return std::as_bytes(std::span(reply_.output()));
    }

private:
    std::unique_ptr<bench::wire::Echo::Stub> stub_;
    bench::Payload payload_;
    std::vector<std::byte> in_;
    bench::wire::Request request_;
    bench::wire::Reply reply_;
};

} // namespace

int main(int argc, char** argv) {
    CLI::App app("bench invoke over gRPC", "invoke-grpc");
    std::string path;
    app.add_option("--path", path)->required();
    CLI11_PARSE(app, argc, argv);
    return bench::serve_rounds("", [&](const bench::Payload& payload) -> Result<std::unique_ptr<bench::Caller>> {
        return std::make_unique<StubCaller>(path, payload);
    });
}
