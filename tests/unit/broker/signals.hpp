// What a client hears on the bus, as text.
#pragma once

#include "tests/unit/broker/private_system.hpp"

#include <cstdio>
#include <cstdlib>

namespace fastrpc::broker::test {

/// Everything in a message as text: enough to see whether something is in it.
inline std::string dump(sd_bus_message* message) {
    char* text = nullptr;
    std::size_t size = 0;
    std::FILE* file = ::open_memstream(&text, &size);
    ::sd_bus_message_rewind(message, 1);
    ::sd_bus_message_dump(message, file, 0);
    std::fclose(file);
    std::string result(text, size);
    std::free(text);
    return result;
}

/// Signals of one member that a client has received.
struct Signals {
    std::vector<std::string> texts;
    sd_bus_slot* slot = nullptr;
    Signals(Client& client, const std::string& member) {
        const std::string rule = "type='signal',sender='org.fastrpc1',member='" + member + "'";
        const auto on_signal = [](sd_bus_message* m, void* data, sd_bus_error*) {
            static_cast<Signals*>(data)->texts.push_back(std::string(::sd_bus_message_get_path(m)) + "\n" + dump(m));
            return 0;
        };
        ::sd_bus_add_match(client.raw(), &slot, rule.c_str(), on_signal, this);
    }
    Signals(const Signals&) = delete;
    ~Signals() { ::sd_bus_slot_unref(slot); }
};

} // namespace fastrpc::broker::test
