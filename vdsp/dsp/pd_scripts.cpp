#include "vdsp/dsp/pd_scripts.hpp"

#include <nlohmann/json.hpp>
#include <utility>

namespace fastrpc::vdsp {

std::pair<std::uint64_t, int> PdScripts::add(UniqueFd paper, ScriptDone done) {
    const std::lock_guard lock(mutex_);
    const int fd = paper.get();
    orders_.emplace(++last_, Order{std::move(paper), std::move(done)});
    return {last_, fd};
}

PdScripts::Order PdScripts::take(std::uint64_t cookie) {
    const std::lock_guard lock(mutex_);
    auto found = orders_.extract(cookie);
    return found.empty() ? Order{} : std::move(found.mapped());
}

void PdScripts::finish(std::uint64_t cookie) {
    const Order order = take(cookie);
    if (!order.done) return;
    auto text = read_paper(order.paper.get());
    if (text && nlohmann::json::accept(*text))
        order.done(std::move(*text));
    else
        order.done(fastrpc::fail(ErrorKind::protocol, "the PD's answer is no JSON"));
}

void PdScripts::fail(std::uint64_t cookie, const std::string& why) {
    const Order order = take(cookie);
    if (order.done) order.done(fastrpc::fail(ErrorKind::lost, why));
}

void PdScripts::fail_all(const std::string& why) {
    std::unique_lock lock(mutex_);
    const auto orders = std::exchange(orders_, {});
    lock.unlock();
    for (const auto& [cookie, order] : orders) order.done(fastrpc::fail(ErrorKind::lost, why));
}

} // namespace fastrpc::vdsp
