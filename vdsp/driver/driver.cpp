#include "vdsp/driver/driver.hpp"

#include "vdsp/driver/open_file.hpp"

#include <algorithm>
#include <cerrno>
#include <fmt/core.h>
#include <nlohmann/json.hpp>

namespace fastrpc::vdsp {

Driver::Driver(const Soc& soc, sd_event* event, const DspFactory& make, const DspConfig& config) {
    context_.event = event;
    context_.kernel_timeout_ms = soc.kernel_timeout_ms;
    for (const SocDomain& domain : soc.domains) {
        channels_.push_back(std::make_unique<DspChannel>(domain, context_, make, config));
        DspChannel* channel = channels_.back().get();
        const std::string name = fmt::format("fastrpc-{}", to_string(domain.domain));
        const bool both = has_unsigned(domain.domain);
        if (both || !domain.secure) nodes_.push_back({.name = name, .channel = channel, .secure = false});
        if (both || domain.secure) nodes_.push_back({.name = name + "-secure", .channel = channel, .secure = true});
    }
    for (const std::string& heap : soc.heaps) nodes_.push_back({.name = "dma_heap/" + heap});
}

const Driver::Node* Driver::find(std::string_view name) const {
    const auto node = std::ranges::find(nodes_, name, &Node::name);
    return node == nodes_.end() ? nullptr : &*node;
}

bool Driver::exists(std::string_view name) const {
    return find(name) != nullptr;
}

std::expected<Opened, int> Driver::open(std::string_view name) {
    const Node* node = find(name);
    if (node == nullptr) return std::unexpected(ENOENT);
    if (node->channel == nullptr) return Opened{};
    auto file = node->channel->open(node->secure);
    if (!file) return std::unexpected(EBUSY);
    return Opened{.file = std::move(file)};
}

void Driver::set_latency(std::uint32_t us) {
    for (const auto& channel : channels_) channel->dsp().set_latency(us);
}

std::string Driver::status() {
    using Json = nlohmann::json;
    Json domains = Json::array();
    for (const auto& channel : channels_) {
        domains.push_back({{"name", to_string(channel->domain().domain)},
                           {"slots", channel->domain().slots},
                           {"slots_used", channel->slots_used()},
                           {"files", channel->slots_used()},
                           {"contexts_used", channel->contexts_used()},
                           {"contexts_abandoned", channel->contexts_abandoned()},
                           {"generation", 1},
                           {"windows", channel->space().windows()},
                           {"dsp", Json::parse(channel->dsp().status_json(), nullptr, false)}});
    }
    return Json{{"domains", domains}, {"buffers", context_.buffers.allocated()}, {"fatal", context_.fatal}}.dump();
}

} // namespace fastrpc::vdsp
