#include "vdsp/driver/accel_banks.hpp"

#include "vdsp/driver/dsp_channel.hpp"

namespace fastrpc::vdsp {

AccelBank::~AccelBank() {
    channel_.free_slot(slot_);
}

std::shared_ptr<AccelBank> AccelBanks::take(DspChannel& channel, std::int32_t tid) {
    const std::lock_guard lock(mutex_);
    std::erase_if(banks_, [](const auto& one) { return one.second.expired(); });
    auto& bank = banks_[tid];
    if (auto shared = bank.lock()) return shared;
    const auto slot = channel.take_slot();
    if (!slot) return nullptr;
    auto made = std::make_shared<AccelBank>(channel, *slot);
    bank = made;
    return made;
}

} // namespace fastrpc::vdsp
