#include "vdsp/driver/driver.hpp"

#include "vdsp/driver/accel_file.hpp"
#include "vdsp/driver/heap_file.hpp"
#include "vdsp/driver/misc_file.hpp"

#include <algorithm>
#include <cerrno>
#include <fmt/core.h>
#include <nlohmann/json.hpp>

namespace fastrpc::vdsp {

namespace {

using Json = nlohmann::json;

Json status_of(const DspDomain& domain) {
    Json kernel = Json::array();
    if (domain.soc().misc != nullptr) kernel.push_back(domain.soc().misc->name);
    if (domain.soc().accel != nullptr) kernel.push_back(domain.soc().accel->name);
    Json status{{"name", to_string(domain.soc().domain)},
                {"kernel", kernel.size() == 1 ? kernel.front() : kernel},
                {"generation", domain.generation()},
                {"state", to_string(domain.state())},
                {"restarts", domain.restarts()},
                {"down_at_us", domain.down_at_us()},
                {"slots", domain.slots()},
                {"zombies", domain.zombies()},
                {"slots_used", 0},
                {"files", 0},
                {"contexts_used", 0},
                {"contexts_abandoned", 0},
                {"windows", 0},
                {"dsp", nullptr}};
    const auto& channel = domain.channel();
    if (!channel) return status;
    status["slots"] = channel->slots();
    status["slots_used"] = channel->slots_used();
    status["files"] = channel->files.load();
    status["contexts_used"] = channel->contexts().used();
    status["contexts_abandoned"] = channel->contexts().abandoned();
    status["windows"] = channel->space().windows();
    channel->with_dsp([&](DspHalf& dsp) { status["dsp"] = Json::parse(dsp.status_json(), nullptr, false); });
    return status;
}

} // namespace

Driver::Driver(const Soc& soc, sd_event* event, const DspFactory& make, const DspConfig& config) :
    context_(event, soc.kernel_timeout_ms) {
    std::size_t accel = 0;
    for (const SocDomain& description : soc.domains) {
        domains_.push_back(std::make_unique<DspDomain>(description, context_, make, config, [this] {
            if (on_change) on_change();
        }));
        DspDomain* domain = domains_.back().get();
        if (description.accel != nullptr)
            nodes_.push_back({.name = fmt::format("accel/accel{}", accel++), .domain = domain, .accel = true});
        if (description.misc == nullptr) continue;
        const std::string name = fmt::format("fastrpc-{}", to_string(description.domain));
        const bool both = has_unsigned(description.domain);
        if (both || !description.secure) nodes_.push_back({.name = name, .domain = domain, .secure = false});
        if (both || description.secure) nodes_.push_back({.name = name + "-secure", .domain = domain, .secure = true});
    }
    for (const std::string& heap : soc.heaps) nodes_.push_back({.name = "dma_heap/" + heap});
}

Driver::~Driver() {
    shut_down();
}

void Driver::shut_down() {
    on_change = nullptr;
    for (const auto& domain : domains_) domain->shut_down();
    context_.queue.run(); // what the dead left for the loop, which does not run any more
}

const Driver::Node* Driver::find(std::string_view name) const {
    const auto node = std::ranges::find(nodes_, name, &Node::name);
    return node == nodes_.end() || !node->there() ? nullptr : &*node;
}

bool Driver::exists(std::string_view name) const {
    return find(name) != nullptr;
}

std::vector<std::string> Driver::nodes() const {
    std::vector<std::string> names;
    for (const Node& node : nodes_)
        if (node.there()) names.push_back(node.name);
    return names;
}

bool Driver::show_heap(std::string_view name, bool shown) {
    const auto node = std::ranges::find(nodes_, name, &Node::name);
    if (node == nodes_.end() || node->domain != nullptr) return false;
    node->shown = shown;
    if (on_change) on_change();
    return true;
}

DspDomain* Driver::domain(std::string_view name) {
    const auto found =
        std::ranges::find_if(domains_, [&](const auto& domain) { return to_string(domain->soc().domain) == name; });
    return found == domains_.end() ? nullptr : found->get();
}

std::expected<std::shared_ptr<DeviceFile>, int> Driver::open(std::string_view name, Opener opener) {
    const Node* node = find(name);
    if (node == nullptr) return std::unexpected(ENOENT);
    if (node->domain == nullptr) return std::make_shared<HeapFile>(context_.buffers);
    if (node->accel) return AccelFile::make(node->domain->channel(), opener);
    return MiscFile::make(node->domain->channel(), node->secure, opener);
}

std::string Driver::status() {
    Json domains = Json::array();
    for (const auto& domain : domains_) domains.push_back(status_of(*domain));
    return Json{{"domains", domains}, {"buffers", context_.buffers.allocated()}, {"fatal", context_.fatal()}}.dump();
}

} // namespace fastrpc::vdsp
