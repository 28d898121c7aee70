// Manager.ListRules: the policy in force, for everybody, as its files are world-readable.
#include "broker/bus_reply.hpp"
#include "broker/manager.hpp"

namespace fastrpc::broker {

int Manager::list_rules(sd_bus_message* call, const Subject&) {
    return reply_with(call, [&](sd_bus_message* reply) {
        int step = ::sd_bus_message_open_container(reply, SD_BUS_TYPE_ARRAY, "(ssuissss)");
        for (const RuleInfo& rule : parts_.policy.policy().list()) {
            const std::string effect(policy::to_string(rule.effect)), audit(to_string(rule.audit));
            if (step >= 0)
                step = ::sd_bus_message_append(reply, "(ssuissss)", rule.name.c_str(), rule.file.c_str(), rule.line,
                                               rule.priority, effect.c_str(), rule.subject.c_str(), rule.object.c_str(),
                                               audit.c_str());
        }
        return step < 0 ? step : ::sd_bus_message_close_container(reply);
    });
}

} // namespace fastrpc::broker
