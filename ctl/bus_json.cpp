#include "ctl/bus_json.hpp"

#include <systemd/sd-bus.h>

namespace fastrpc::ctl {
namespace {

// A bug of fastrpcd, not a condition: its answers have the types that its introspection says.
struct Malformed {};

void check(int step) {
    if (step < 0) throw Malformed{};
}

template<class T>
T basic(sd_bus_message* message, char type) {
    T value{};
    check(::sd_bus_message_read_basic(message, type, &value));
    return value;
}

json read_value(sd_bus_message* message);

json read_container(sd_bus_message* message, char type, const char* contents) {
    check(::sd_bus_message_enter_container(message, type, contents));
    json result;
    if (type == SD_BUS_TYPE_VARIANT) {
        result = read_value(message);
    } else if (type == SD_BUS_TYPE_ARRAY && contents[0] == SD_BUS_TYPE_DICT_ENTRY_BEGIN) {
        result = json::object();
        while (::sd_bus_message_at_end(message, 0) == 0) {
            const json entry = read_value(message);
            result[entry.at(0).get<std::string>()] = entry.at(1);
        }
    } else {
        result = json::array();
        while (::sd_bus_message_at_end(message, 0) == 0) result.push_back(read_value(message));
    }
    check(::sd_bus_message_exit_container(message));
    return result;
}

json read_value(sd_bus_message* message) {
    char type = 0;
    const char* contents = nullptr;
    check(::sd_bus_message_peek_type(message, &type, &contents));
    switch (type) {
    case SD_BUS_TYPE_BOOLEAN:
        return basic<int>(message, type) != 0;
    case SD_BUS_TYPE_INT32:
        return basic<std::int32_t>(message, type);
    case SD_BUS_TYPE_UINT32:
        return basic<std::uint32_t>(message, type);
    case SD_BUS_TYPE_UINT64:
        return basic<std::uint64_t>(message, type);
    case SD_BUS_TYPE_STRING:
    case SD_BUS_TYPE_OBJECT_PATH:
        return basic<const char*>(message, type);
    case SD_BUS_TYPE_ARRAY:
    case SD_BUS_TYPE_VARIANT:
    case SD_BUS_TYPE_STRUCT:
    case SD_BUS_TYPE_DICT_ENTRY:
        return read_container(message, type, contents);
    default:
        throw Malformed{};
    }
}

} // namespace

Result<json> read_answer(sd_bus_message* answer) {
    try {
        json all = json::array();
        while (::sd_bus_message_at_end(answer, 1) == 0) all.push_back(read_value(answer));
        return all;
    } catch (const Malformed&) {
        return fail(ErrorKind::protocol,
                    "fastrpcd gave an answer that fastrpcctl does not understand; are both of one version?");
    }
}

} // namespace fastrpc::ctl
