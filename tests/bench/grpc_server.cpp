// The server of contender "gRPC": a daemon with a PD of its own that makes the DSP call for who sends the bytes.
//
// The synchronous server as it comes, whose threads take calls by themselves; only the size of messages is freed.
#include "echo.grpc.pb.h"
#include "tests/bench/dsp_service.hpp"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <grpcpp/grpcpp.h>
#include <sys/stat.h>

using namespace fastrpc;

namespace {

class Echo final : public bench::wire::Echo::Service {
public:
    explicit Echo(bench::OwnPd& pd) : service_(pd) {}
    grpc::Status Call(grpc::ServerContext*, const bench::wire::Request* request, bench::wire::Reply* reply) override {
        const std::string& in = request->input();
        const bench::Payload payload{in.size(), request->registered()};
        std::string& out = *reply->mutable_output();
        out.resize(payload.output_bytes());
        const auto result =
            service_.serve(payload, std::as_bytes(std::span(in)), std::as_writable_bytes(std::span(out)));
        if (!result) return {grpc::StatusCode::INTERNAL, result.error().text};
        reply->set_result(*result);
        return grpc::Status::OK;
    }

private:
    bench::DspService service_;
};

} // namespace

int main(int argc, char** argv) {
    CLI::App app("The server of bench invoke's gRPC contender", "grpc-server");
    std::string path, modules, shell;
    app.add_option("--path", path, "of its socket")->required();
    app.add_option("--module-dir", modules)->required();
    app.add_option("--shell", shell)->required();
    CLI11_PARSE(app, argc, argv);
    const auto pd = bench::OwnPd::start(modules, shell); // blocks the signals of all threads to come
    if (!pd) {
        std::fprintf(stderr, "%s\n", pd.error().text.c_str());
        return 1;
    }
    Echo echo(**pd);
    grpc::ServerBuilder builder;
    builder.AddListeningPort("unix:" + path, grpc::InsecureServerCredentials());
    builder.SetMaxReceiveMessageSize(-1);
    builder.SetMaxSendMessageSize(-1);
    builder.RegisterService(&echo);
    const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
    if (!server || ::chmod(path.c_str(), 0666) != 0) {
        std::fprintf(stderr, "no gRPC server at %s\n", path.c_str());
        return 1;
    }
    std::puts("ready");
    std::fflush(stdout);
    while (std::getchar() != EOF) {
    }
    server->Shutdown();
    return 0;
}
