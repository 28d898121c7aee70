// Contender "fastrpcd": one session, its clients threads of one program, each with a lane of its own.
#include "client/fastrpc.h"
#include "tests/bench/lane_kind.hpp"
#include "tests/bench/rounds.hpp"

#include <CLI/CLI.hpp>
#include <array>
#include <cstdio>
#include <string_view>
#include <vector>

using namespace fastrpc;

namespace {

Error error_of(const char* what, const fastrpc_error& error) {
    return {ErrorKind::dsp, 0, std::string(what) + ": " + error.text};
}

class LaneCaller final : public bench::Caller {
public:
    static Result<std::unique_ptr<bench::Caller>> open(fastrpc_session* session, fastrpc_module* module,
                                                       const bench::Payload& payload) {
        auto caller = std::unique_ptr<LaneCaller>(new LaneCaller(module, payload));
        if (payload.registered) {
            fastrpc_error error{};
            if (fastrpc_buffer_alloc(session, payload.bytes, &caller->buffer_, &error) != 0)
                return std::unexpected(error_of("a buffer", error));
            caller->in_ = {static_cast<std::byte*>(fastrpc_buffer_data(caller->buffer_)), payload.bytes};
        } else {
            caller->bytes_.resize(payload.bytes);
            caller->in_ = caller->bytes_;
        }
        return caller;
    }
    LaneCaller(const LaneCaller&) = delete;
    LaneCaller& operator=(const LaneCaller&) = delete;
    ~LaneCaller() override { fastrpc_buffer_free(buffer_); }

    std::span<std::byte> input() override { return in_; }
    Result<std::int32_t> call() override {
        std::array<fastrpc_arg, 2> args{};
        args[0].size = in_.size();
        args[0].buffer = buffer_;
        if (buffer_ == nullptr) args[0].data = in_.data();
        args[1].data = out_.data();
        args[1].size = out_.size();
        const int result = fastrpc_invoke(module_, payload_.scalars(), args.data(), args.size(), &error_);
        if (result != 0 && std::string_view(error_.name) != "dsp") return std::unexpected(error_of("a call", error_));
        return result;
    }
    [[nodiscard]] std::span<const std::byte> output() const override { return out_; }

private:
    LaneCaller(fastrpc_module* module, const bench::Payload& payload) :
        module_(module), payload_(payload), out_(payload.output_bytes()) {}

    fastrpc_module* module_;
    bench::Payload payload_;
    fastrpc_buffer* buffer_ = nullptr;
    std::vector<std::byte> bytes_, out_;
    std::span<std::byte> in_;
    fastrpc_error error_{};
};

} // namespace

int main(int argc, char** argv) {
    CLI::App app("bench invoke through fastrpcd", "invoke-brokered");
    std::string directory;
    app.add_option("--module-dir", directory)->required();
    CLI11_PARSE(app, argc, argv);
    const std::array<const char*, 1> directories{directory.c_str()};
    fastrpc_open_options options{};
    options.directories = directories.data();
    options.directory_count = directories.size();
    fastrpc_session* session = nullptr;
    fastrpc_module* module = nullptr;
    fastrpc_error error{};
    if (fastrpc_session_open(&options, &session, &error) != 0 ||
        fastrpc_module_open(session, bench::test_module, &module, &error) != 0) {
        std::fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    const int code = bench::serve_rounds(bench::open_lane_kind(), [&](const bench::Payload& payload) {
        return LaneCaller::open(session, module, payload);
    });
    fastrpc_module_close(module);
    fastrpc_session_close(session);
    return code;
}
