// org.fastrpc1.Domain.
#include "broker/object_tables.hpp"
#include "broker/registry.hpp"

#include <array>
#include <string>

namespace fastrpc::broker {
namespace {

// "cdsp1" is the DSP with index 1 of kind "cdsp".
std::string class_of(const DomainEntry& entry) {
    std::string name(to_string(entry.domain));
    if (name.back() == '0' || name.back() == '1') name.pop_back();
    return name;
}

template<auto Read>
constexpr auto of_domain = get<DomainEntry, Read>;

// Names of capabilities 0..11 (KERNEL 1.5).
constexpr std::array<const char*, capability_count> capability_names{
    "domain-supported", "unsigned-pd", "hvx-64b",     "hvx-128b", "vtcm-page",           "vtcm-count",
    "architecture",     "hmx-depth",   "hmx-spatial", "async",    "status-notification", "multicast"};

int get_capabilities(sd_bus_message* call, void* data, sd_bus_error*) noexcept {
    const auto& values = static_cast<const DomainEntry*>(data)->capabilities;
    return reply_with(call, [&](sd_bus_message* reply) {
        Dictionary known(reply);
        for (std::size_t i = 0; i < values.size(); ++i)
            if (values[i] != unknown_capabilities()[i]) known.add(capability_names[i], values[i]);
        return known.close();
    });
}

constexpr std::uint64_t fixed = SD_BUS_VTABLE_PROPERTY_CONST;
constexpr std::uint64_t changes = SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE;

} // namespace

// clang-format off
const sd_bus_vtable domain_table[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_PROPERTY("Name", "s", of_domain<[](const DomainEntry& d) { return to_string(d.domain); }>, 0, fixed),
    SD_BUS_PROPERTY("Kind", "s", of_domain<class_of>, 0, fixed),
    SD_BUS_PROPERTY("Index", "u", of_domain<[](const DomainEntry& d) { return std::uint32_t{to_string(d.domain).back() == '1'}; }>, 0, fixed),
    SD_BUS_PROPERTY("Backend", "s", of_domain<&DomainEntry::backend>, 0, changes),
    SD_BUS_PROPERTY("Profile", "s", of_domain<&DomainEntry::profile>, 0, changes),
    SD_BUS_PROPERTY("Nodes", "as", of_domain<&DomainEntry::nodes>, 0, changes),
    SD_BUS_PROPERTY("UnsignedSupported", "b", of_domain<[](const DomainEntry& d) { return has_unsigned(d.domain); }>, 0, fixed),
    SD_BUS_PROPERTY("State", "s", of_domain<&DomainEntry::state>, 0, changes),
    SD_BUS_PROPERTY("Generation", "t", of_domain<&DomainEntry::generation>, 0, changes),
    SD_BUS_PROPERTY("SessionsUsed", "u", of_domain<&DomainEntry::sessions_used>, 0, changes),
    SD_BUS_PROPERTY("SessionsMax", "u", of_domain<&DomainEntry::sessions_max>, 0, changes),
    SD_BUS_PROPERTY("ContextsMax", "u", of_domain<[](const DomainEntry&) { return contexts_max; }>, 0, fixed),
    SD_BUS_PROPERTY("ContextsReserved", "u", of_domain<[](const DomainEntry&) { return contexts_reserved; }>, 0, fixed),
    SD_BUS_PROPERTY("ContextsGranted", "u", of_domain<&DomainEntry::contexts_granted>, 0, changes),
    SD_BUS_PROPERTY("ContextsLost", "u", of_domain<&DomainEntry::contexts_lost>, 0, changes),
    SD_BUS_PROPERTY("LastCrashUSec", "t", of_domain<&DomainEntry::last_crash_us>, 0, changes),
    SD_BUS_PROPERTY("LastCrashReason", "s", of_domain<&DomainEntry::last_crash_reason>, 0, changes),
    SD_BUS_PROPERTY("Problems", "as", of_domain<&DomainEntry::problems>, 0, changes),
    SD_BUS_METHOD_WITH_ARGS("GetCapabilities", SD_BUS_NO_ARGS, SD_BUS_RESULT("a{sv}", capabilities), get_capabilities, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_SIGNAL_WITH_ARGS("GenerationChanged", SD_BUS_ARGS("t", before, "t", now, "s", reason), 0),
    SD_BUS_VTABLE_END};
// clang-format on

} // namespace fastrpc::broker
