#include "broker/bus_reply.hpp"

#include "broker/bus_names.hpp"

namespace fastrpc::broker {
namespace {

// D-Bus strings are UTF-8 without NUL, and a message with another cannot be sent at all. Texts of hosts and files may
// hold any byte.
std::string utf8(std::string_view text) {
    std::string result;
    result.reserve(text.size());
    for (std::size_t at = 0; at < text.size();) {
        const auto lead = static_cast<unsigned char>(text[at]);
        const std::size_t length = lead < 0x80 ? 1 : lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
        bool valid = lead != 0 && (lead < 0x80 || (lead >= 0xC2 && lead <= 0xF4)) && at + length <= text.size();
        std::uint32_t code = lead < 0x80 ? lead : lead & (0xFFU >> (length + 1));
        for (std::size_t i = 1; valid && i < length; ++i) {
            const auto next = static_cast<unsigned char>(text[at + i]);
            valid = (next & 0xC0) == 0x80;
            code = code << 6 | (next & 0x3FU);
        }
        const std::uint32_t least = length == 4 ? 0x10000 : length == 3 ? 0x800 : length == 2 ? 0x80 : 0;
        valid = valid && code >= least && code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF);
        if (valid)
            result += text.substr(at, length);
        else
            result += '?';
        at += valid ? length : 1;
    }
    return result;
}

} // namespace

std::string_view error_word(ErrorKind kind) noexcept {
    switch (kind) {
    case ErrorKind::invalid:
        return "InvalidArgs";
    case ErrorKind::denied:
        return "AccessDenied";
    case ErrorKind::not_found:
        return "NoSuchPd";
    case ErrorKind::no_domain:
        return "NoSuchDomain";
    case ErrorKind::offline:
        return "DomainOffline";
    case ErrorKind::busy:
        return "Busy";
    case ErrorKind::quota:
        return "QuotaExceeded";
    case ErrorKind::lost:
        return "GenerationLost";
    case ErrorKind::timeout:
        return "Timeout";
    case ErrorKind::unsupported:
        return "Unsupported";
    case ErrorKind::none:
    case ErrorKind::protocol:
    case ErrorKind::system:
    case ErrorKind::dsp:
        break;
    }
    return "InternalError";
}

int make_error(sd_bus_message* call, std::string_view word, const std::string& text, Message& error) {
    const std::string name = names::error_prefix + std::string(word);
    const std::string message = utf8(text);
    const sd_bus_error what = SD_BUS_ERROR_MAKE_CONST(name.c_str(), message.c_str());
    return ::sd_bus_message_new_method_error(call, out(error), &what);
}

int reply_error(sd_bus_message* call, std::string_view word, const std::string& text) {
    Message error;
    const int made = make_error(call, word, text, error);
    return made < 0 ? made : ::sd_bus_send(nullptr, error.get(), nullptr);
}

int reply_error(sd_bus_message* call, const Error& error) {
    return reply_error(call, error_word(error.kind), error.text);
}

int append(sd_bus_message* message, bool value) {
    const int number = value ? 1 : 0;
    return ::sd_bus_message_append_basic(message, SD_BUS_TYPE_BOOLEAN, &number);
}
int append(sd_bus_message* message, std::uint32_t value) {
    return ::sd_bus_message_append_basic(message, SD_BUS_TYPE_UINT32, &value);
}
int append(sd_bus_message* message, std::uint64_t value) {
    return ::sd_bus_message_append_basic(message, SD_BUS_TYPE_UINT64, &value);
}

int append(sd_bus_message* message, std::string_view value) {
    return ::sd_bus_message_append_basic(message, SD_BUS_TYPE_STRING, utf8(value).c_str());
}

int append(sd_bus_message* message, const std::vector<std::string>& values) {
    int step = ::sd_bus_message_open_container(message, SD_BUS_TYPE_ARRAY, "s");
    for (const std::string& value : values)
        if (step >= 0) step = append(message, std::string_view(value));
    return step < 0 ? step : ::sd_bus_message_close_container(message);
}

int append(sd_bus_message* message, const std::vector<std::uint64_t>& values) {
    return ::sd_bus_message_append_array(message, SD_BUS_TYPE_UINT64, values.data(),
                                         values.size() * sizeof(std::uint64_t));
}

Dictionary::Dictionary(sd_bus_message* message) :
    message_(message), step_(::sd_bus_message_open_container(message, SD_BUS_TYPE_ARRAY, "{sv}")) {}

void Dictionary::open_entry(const char* key, const char* signature) {
    if (step_ >= 0) step_ = ::sd_bus_message_open_container(message_, SD_BUS_TYPE_DICT_ENTRY, "sv");
    if (step_ >= 0) step_ = ::sd_bus_message_append_basic(message_, SD_BUS_TYPE_STRING, key);
    if (step_ >= 0) step_ = ::sd_bus_message_open_container(message_, SD_BUS_TYPE_VARIANT, signature);
}

void Dictionary::close_entry() {
    if (step_ >= 0) step_ = ::sd_bus_message_close_container(message_);
    if (step_ >= 0) step_ = ::sd_bus_message_close_container(message_);
}

int Dictionary::close() {
    return step_ < 0 ? step_ : ::sd_bus_message_close_container(message_);
}

Dictionary& Dictionary::add(const Counters& counters) {
    return add("calls", counters.calls)
        .add("failed-calls", counters.failed_calls)
        .add("bytes", counters.bytes)
        .add("reverse-calls", counters.reverse_calls)
        .add("files-served", counters.files_served)
        .add("bytes-served", counters.bytes_served)
        .add("files-missing", counters.files_missing)
        .add("last-missing", counters.last_missing)
        .add("lanes", counters.lanes)
        .add("buffers", counters.buffers)
        .add("mapped-bytes", counters.mapped_bytes)
        .add("p50-us", counters.p50_us)
        .add("p99-us", counters.p99_us)
        .add("in-flight", counters.in_flight);
}

} // namespace fastrpc::broker
