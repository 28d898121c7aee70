// pd: the static PDs, and orders to them.
#include "ctl/pd.hpp"
#include "ctl/text.hpp"
#include "ctl/tool.hpp"

#include <CLI/CLI.hpp>
#include <memory>

namespace fastrpc::ctl {
namespace {

struct Order {
    std::string domain;
    std::string pd;
    unsigned seconds = 10;
};

int run(const Tool& tool, const std::string& verb, const Order& order) {
    auto client = tool.connect();
    if (!client) return tool.complain(client.error());
    const auto now = order_pd(*client, verb, order.domain, order.pd, std::chrono::seconds(order.seconds));
    if (!now) return tool.complain_of_denial(now.error());
    tool.print(*now, pd_line);
    return done;
}

} // namespace

void add_pd_verbs(Tool& tool, CLI::App& app) {
    auto* group = add_group(app, "pd", "the static PDs: processes of the system on a DSP");
    const auto order = std::make_shared<Order>();
    add(tool, *group, "list", "one line for each", [&tool] { return tool.query(query_pds, pds_text); });
    const auto of_pd = [&](const char* name, const char* what, std::function<int()> act) {
        auto* command = add(tool, *group, name, what, std::move(act));
        command->add_option("DOMAIN", order->domain, "adsp, cdsp, ...")->required();
        command->add_option("PD", order->pd, "root, audio or sensors")->required();
        return command;
    };
    of_pd("status", "all about one", [&tool, order] {
        return tool.query([&](BusClient& client) { return query_pd(client, order->domain, order->pd); }, pd_text);
    });
    for (const auto& [verb, what] :
         {std::pair("start", "starts one that was stopped or has failed"),
          std::pair("stop", "ends one; its host stays, and nothing but start brings it back"),
          std::pair("restart", "ends one and starts it anew")}) {
        auto* command = of_pd(verb, what, [&tool, order, name = std::string(verb)] { return run(tool, name, *order); });
        command->add_option("--timeout", order->seconds, "how long to wait until it is so, in seconds")
            ->capture_default_str();
        command->footer(
            "Only root may, and whom polkit lets. Waits until the PD is as it should be, else says why it is not.");
    }
}

} // namespace fastrpc::ctl
