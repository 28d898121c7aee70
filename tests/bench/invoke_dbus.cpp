// Contender "D-Bus": each call a method call that carries the bytes to a service behind a bus daemon.
#include "tests/bench/dbus_peer.hpp"
#include "tests/bench/rounds.hpp"

#include <CLI/CLI.hpp>
#include <atomic>
#include <vector>

using namespace fastrpc;

namespace {

class BusCaller final : public bench::Caller {
public:
    BusCaller(bench::Bus bus, unsigned number, const bench::Payload& payload) :
        bus_(std::move(bus)), service_(bench::dbus_service(number)), payload_(payload), in_(payload.bytes),
        out_(payload.output_bytes()) {}

    std::span<std::byte> input() override { return in_; }
    Result<std::int32_t> call() override {
        sd_bus_message *raw = nullptr, *raw_reply = nullptr;
        int done = sd_bus_message_new_method_call(bus_.get(), &raw, service_.c_str(), bench::dbus_object,
                                                  bench::dbus_interface, "Call");
        const Message call(raw);
        if (done >= 0) done = sd_bus_message_append(raw, "b", payload_.registered ? 1 : 0);
        if (done >= 0) done = sd_bus_message_append_array(raw, 'y', in_.data(), in_.size());
        sd_bus_error error = SD_BUS_ERROR_NULL;
        if (done >= 0) done = sd_bus_call(bus_.get(), raw, 0, &error, &raw_reply);
        const Message reply(raw_reply);
        if (done < 0) {
            const std::string text = error.message != nullptr ? error.message : errno_text(-done);
            sd_bus_error_free(&error);
            return fail(ErrorKind::system, "a D-Bus call: " + text, -done);
        }
        std::int32_t result = 0;
        const void* out = nullptr;
        std::size_t size = 0;
        if (sd_bus_message_read(raw_reply, "i", &result) < 0 ||
            sd_bus_message_read_array(raw_reply, 'y', &out, &size) < 0 || size != out_.size())
            return fail(ErrorKind::protocol, "a D-Bus reply is malformed");
        // As each contender does: into the caller's own memory.
        if (size != 0) std::memcpy(out_.data(), out, size);
        return result;
    }
    [[nodiscard]] std::span<const std::byte> output() const override { return out_; }

private:
    struct Unref {
        void operator()(sd_bus_message* message) const noexcept { sd_bus_message_unref(message); }
    };
    using Message = std::unique_ptr<sd_bus_message, Unref>;

    bench::Bus bus_;
    std::string service_;
    bench::Payload payload_;
    std::vector<std::byte> in_, out_;
};

} // namespace

int main(int argc, char** argv) {
    CLI::App app("bench invoke over D-Bus", "invoke-dbus");
    std::string address;
    app.add_option("--address", address)->required();
    CLI11_PARSE(app, argc, argv);
    std::atomic<unsigned> clients = 0;
    return bench::serve_rounds("", [&](const bench::Payload& payload) -> Result<std::unique_ptr<bench::Caller>> {
        const unsigned number = clients++ % bench::dbus_services;
        bench::Bus bus = bench::connect_bus(address);
        if (!bus) return fail(ErrorKind::offline, "no connection to the bench's bus");
        return std::make_unique<BusCaller>(std::move(bus), number, payload);
    });
}
