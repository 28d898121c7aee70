// The service of contender "D-Bus": a daemon with a PD of its own that makes the DSP call for who sends the bytes.
#include "tests/bench/dbus_peer.hpp"
#include "tests/bench/dsp_service.hpp"

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <latch>
#include <thread>
#include <vector>

using namespace fastrpc;

namespace {

int on_call(sd_bus_message* call, void* data, sd_bus_error* error) {
    auto& service = *static_cast<bench::DspService*>(data);
    int registered = 0;
    const void* in = nullptr;
    std::size_t size = 0;
    if (sd_bus_message_read(call, "b", &registered) < 0 || sd_bus_message_read_array(call, 'y', &in, &size) < 0)
        return -EINVAL;
    const bench::Payload payload{size, registered != 0};
    sd_bus_message* reply = nullptr;
    int done = sd_bus_message_new_method_return(call, &reply);
    if (done < 0) return done;
    thread_local std::vector<std::byte> out;
    out.resize(payload.output_bytes());
    const auto result = service.serve(payload, {static_cast<const std::byte*>(in), size}, out);
    if (!result) {
        sd_bus_message_unref(reply);
        return sd_bus_error_set(error, SD_BUS_ERROR_FAILED, result.error().text.c_str());
    }
    done = sd_bus_message_append(reply, "i", *result);
    if (done >= 0) done = sd_bus_message_append_array(reply, 'y', out.data(), out.size());
    if (done >= 0) done = sd_bus_send(nullptr, reply, nullptr);
    sd_bus_message_unref(reply);
    return done;
}

const sd_bus_vtable methods[] = {SD_BUS_VTABLE_START(0),
                                 SD_BUS_METHOD("Call", "bay", "iay", on_call, SD_BUS_VTABLE_UNPRIVILEGED),
                                 SD_BUS_VTABLE_END};

[[noreturn]] void give_up(const char* what) {
    std::fprintf(stderr, "%s\n", what);
    std::_Exit(1);
}

void serve(const std::string& address, unsigned number, bench::DspService& service, std::latch& up) {
    const bench::Bus bus = bench::connect_bus(address);
    if (!bus ||
        sd_bus_add_object_vtable(bus.get(), nullptr, bench::dbus_object, bench::dbus_interface, methods, &service) <
            0 ||
        sd_bus_request_name(bus.get(), bench::dbus_service(number).c_str(), 0) < 0)
        give_up("no service on the bus");
    up.count_down();
    for (;;) {
        const int done = sd_bus_process(bus.get(), nullptr);
        if (done < 0 || (done == 0 && sd_bus_wait(bus.get(), ~std::uint64_t{0}) < 0)) give_up("the bus went away");
    }
}

} // namespace

int main(int argc, char** argv) {
    CLI::App app("The service of bench invoke's D-Bus contender", "dbus-server");
    std::string address, modules, shell;
    app.add_option("--address", address)->required();
    app.add_option("--module-dir", modules)->required();
    app.add_option("--shell", shell)->required();
    CLI11_PARSE(app, argc, argv);
    const auto pd = bench::OwnPd::start(modules, shell);
    if (!pd) give_up(pd.error().text.c_str());
    bench::DspService service(**pd);
    std::latch up(bench::dbus_services);
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < bench::dbus_services; ++i)
        threads.emplace_back(serve, address, i, std::ref(service), std::ref(up));
    up.wait();
    std::puts("ready");
    std::fflush(stdout);
    while (std::getchar() != EOF) {
    }
    std::_Exit(0); // with its PD: the driver's release ends it, as any program's
}
