// What the kernel itself says to a DSP, to the byte (KERNEL 1.12), and the ioctls that make it (KERNEL 1.13).
#include "driver_fixture.hpp"

namespace fastrpc::vdsp {
namespace {

using namespace kernel_call;

class KernelCall : public DriverTest {
protected:
    KernelCall() : file(open("fastrpc-cdsp-secure")) {}

    const FakeDsp::Received& last() { return dsp().received.back(); }
    template<class T>
    T in(std::size_t offset) {
        T value;
        std::memcpy(&value, last().payload.data() + offset, sizeof value);
        return value;
    }
    std::shared_ptr<OpenFile> file;
};

TEST_F(KernelCall, attach_names_the_client_and_carries_the_pd) {
    EXPECT_EQ(attach(file).result, 0);
    const WireRequest& request = last().request;
    EXPECT_EQ(request.client, 0);
    EXPECT_EQ(request.tid, 77);
    EXPECT_EQ(request.context, 0x10U);
    EXPECT_EQ(request.handle, 1U);
    EXPECT_EQ(request.scalars, 0x00010000U);
    EXPECT_EQ(request.address >> 32, 1U);
    EXPECT_EQ(request.size, 4096U);
    EXPECT_EQ(in<std::int32_t>(512), 1);
    EXPECT_EQ(attach(file, VDSP_INIT_ATTACH_SNS).result, 0);
    EXPECT_EQ(last().request.context, 0x22U);
}

TEST_F(KernelCall, create_lays_out_as_arm64_does) {
    const UniqueFd shell = heap(8192);
    const vdsp_init_create request{.filelen = 5000, .filefd = 7, .attrs = 8, .siglen = 3, .file = 0x7f0000001000};
    EXPECT_EQ(ioctl(file, VDSP_INIT_CREATE, request, &shell, 0x7f0000000000).result, 0);
    EXPECT_EQ(last().request.scalars, 0x07040000U);
    EXPECT_EQ(last().request.context & 15U, 1U);
    const auto arguments = dsp().arguments(last().request);
    EXPECT_EQ(first_byte(arguments[1]), last().request.address + 640); // offsets seen on the real 6.12 driver
    EXPECT_EQ(first_byte(arguments[0]), last().request.address + 768);
    EXPECT_EQ(first_byte(arguments[3]), last().request.address + 896);
    const auto body = in<CreateBody>(768);
    EXPECT_EQ(body.client, 1);
    EXPECT_EQ(body.name_length, 7U);
    EXPECT_EQ(body.file_length, 5000U);
    EXPECT_EQ(body.pages, 1U);
    EXPECT_EQ(body.attributes, 8U);
    EXPECT_EQ(body.signature_length, 3U);
    EXPECT_EQ(std::memcmp(last().payload.data() + 640, "worker", 7), 0);
    EXPECT_EQ(arguments[2].pv, request.file);
    EXPECT_EQ(arguments[2].page_size, 8192U);
    EXPECT_EQ(arguments[2].page & 0xFFFU, 0U);
    EXPECT_EQ(dsp().machine.window(arguments[2].page)->address, arguments[2].page - 0x1000);
    const auto memory = in<Page>(896);
    EXPECT_EQ(memory.size, 2U << 20);
    EXPECT_EQ(dsp().machine.window(memory.address)->size, 2U << 20);
}

TEST_F(KernelCall, create_donates_four_times_the_shell) {
    const UniqueFd shell = heap(2U << 20);
    for (const auto& [length, size] :
         {std::pair<std::uint32_t, std::uint64_t>{4096, 2U << 20}, {600U << 10, 3U << 20}, {2U << 20, 8U << 20}}) {
        const vdsp_init_create request{.filelen = length, .filefd = 7, .file = 0x7f0000000000};
        EXPECT_EQ(ioctl(file, VDSP_INIT_CREATE, request, &shell, 0x7f0000000000).result, 0);
        EXPECT_EQ(last().request.scalars, 0x06040000U); // no attributes
        EXPECT_EQ(in<Page>(896).size, size);
    }
}

TEST_F(KernelCall, create_without_a_shell_sends_an_empty_one) {
    const vdsp_init_create request{.filelen = 0, .filefd = -1, .attrs = 8};
    EXPECT_EQ(ioctl(file, VDSP_INIT_CREATE, request).result, 0);
    EXPECT_EQ(dsp().arguments(last().request)[2].length, 0U);
}

TEST_F(KernelCall, create_checks_in_the_kernels_order) {
    const auto plain = open("fastrpc-cdsp");
    const auto error = [&](const std::shared_ptr<OpenFile>& on, const vdsp_init_create& request,
                           const UniqueFd* shell = nullptr) {
        const auto outcome = ioctl(on, VDSP_INIT_CREATE, request, shell);
        return outcome.result == -1 ? outcome.error : 0;
    };
    const UniqueFd small = heap(4096);
    const UniqueFd other(::memfd_create("not a dma-buf", MFD_CLOEXEC));
    EXPECT_EQ(error(plain, {.filelen = 9U << 20, .attrs = 0}), ECONNREFUSED);
    EXPECT_EQ(error(plain, {.filelen = 9U << 20, .attrs = 0x48}), EINVAL);
    EXPECT_EQ(error(file, {.filelen = (2U << 20) + 1}), EINVAL);
    EXPECT_EQ(error(file, {.filelen = 4096, .filefd = -1}), EBADF);
    EXPECT_EQ(error(file, {.filelen = 4096, .filefd = 9}, &other), EINVAL);
    EXPECT_EQ(fatal(), 0U);
    EXPECT_EQ(error(file, {.filelen = 4097, .filefd = 9}, &small), EINVAL);
    EXPECT_EQ(error(file, {.filelen = 4096, .filefd = 0}), EFAULT);
    EXPECT_EQ(fatal(), 2U);
    EXPECT_TRUE(dsp().received.empty());
    EXPECT_EQ(error(plain, {.filelen = 0, .attrs = 8}), 0);
}

TEST_F(KernelCall, a_failed_create_keeps_its_pd_number_and_nothing_else) {
    const UniqueFd shell = heap(4096);
    say(dsp(), 39);
    const auto before = status()["windows"].get<int>();
    EXPECT_EQ(ioctl(file, VDSP_INIT_CREATE, vdsp_init_create{.filelen = 9, .filefd = 7}, &shell, 0).result, 39);
    EXPECT_EQ(status()["windows"].get<int>(), before + 1); // the shell's address is remembered, its mapping is gone
    EXPECT_EQ(invoke(file, 20, Scalars{0}).result, 39);
    EXPECT_EQ(last().request.context & 15U, 1U);
}

TEST_F(KernelCall, create_static_shares_one_remote_heap) {
    const vdsp_init_create_static request{.namelen = 7, .memlen = 3U << 20, .name = 0};
    EXPECT_EQ(ioctl(file, VDSP_INIT_CREATE_STATIC, request).result, 0);
    EXPECT_EQ(last().request.scalars, 0x08030000U);
    EXPECT_EQ(std::memcmp(last().payload.data() + 512, "audiopd", 7), 0);
    const auto body = in<CreateStaticBody>(640);
    EXPECT_EQ(body.client, 1);
    EXPECT_EQ(body.name_length, 7U);
    EXPECT_EQ(body.pages, 0U);
    const auto heap_page = in<Page>(768);
    EXPECT_EQ(heap_page.size, 3U << 20);
    EXPECT_EQ(heap_page.address >> 32, 0U); // of the channel's own device
    EXPECT_EQ(ioctl(file, VDSP_INIT_CREATE_STATIC, request).result, 0);
    EXPECT_EQ(in<Page>(768).address, heap_page.address);
    say(dsp(), 14);
    EXPECT_EQ(ioctl(file, VDSP_INIT_CREATE_STATIC, request).result, 14);
    EXPECT_EQ(dsp().gone, std::vector<std::uint64_t>{heap_page.address});
}

TEST_F(KernelCall, mmap_and_munmap_are_an_exact_pair) {
    dsp().handler = [](FakeDsp& self, const WireRequest& request) {
        if (request.scalars == kernel_call::mmap.word)
            self.put(first_byte(self.arguments(request)[2]), std::uint64_t{0xD5B00000});
        return 0;
    };
    const auto mapped = ioctl(file, VDSP_MMAP, vdsp_mmap{.fd = -1, .flags = 0x1000, .size = 5000});
    EXPECT_EQ(mapped.result, 0);
    EXPECT_EQ(mapped.as<vdsp_mmap>().vaddrout, 0xD5B00000U);
    const auto arguments = dsp().arguments(last().request);
    EXPECT_EQ(first_byte(arguments[2]), last().request.address + 512);
    EXPECT_EQ(first_byte(arguments[1]), last().request.address + 640);
    EXPECT_EQ(first_byte(arguments[0]), last().request.address + 768);
    const auto body = in<MmapBody>(768);
    EXPECT_EQ(body.client, 1);
    EXPECT_EQ(body.flags, 0x1000U);
    EXPECT_EQ(body.address, 0U);
    EXPECT_EQ(body.num, 16);
    EXPECT_EQ(in<Page>(640).size, 5000U); // sizes are not rounded
    EXPECT_EQ(in<Page>(640).address >> 32, 1U);
    EXPECT_EQ(dsp().bytes(in<Page>(640).address, 8192).size(), 8192U); // the memory is

    EXPECT_EQ(ioctl(file, VDSP_MUNMAP, vdsp_munmap{.vaddrout = 0xD5B00000, .size = 4096}).error, EINVAL);
    EXPECT_EQ(ioctl(file, VDSP_MUNMAP, vdsp_munmap{.vaddrout = 0xD5B00000, .size = 5000}).result, 0);
    EXPECT_EQ(last().request.scalars, 0x05010000U);
    EXPECT_EQ(in<MunmapBody>(512).client, 1);
    EXPECT_EQ(in<MunmapBody>(512).address, 0xD5B00000U);
    EXPECT_EQ(in<MunmapBody>(512).size, 5000U);
    EXPECT_EQ(ioctl(file, VDSP_MUNMAP, vdsp_munmap{.vaddrout = 0xD5B00000, .size = 5000}).error, EINVAL);
}

TEST_F(KernelCall, mmap_refuses_all_but_its_two_flags) {
    for (const std::uint32_t flags : {0U, 2U, 4U, 6U, 0x10U, 0x1001U, 0x3000U, 0x4000U})
        EXPECT_EQ(ioctl(file, VDSP_MMAP, vdsp_mmap{.flags = flags, .size = 4096}).error, EINVAL) << flags;
    EXPECT_EQ(ioctl(file, VDSP_MMAP, vdsp_mmap{.flags = 0x1000, .vaddrin = 1, .size = 4096}).error, EINVAL);
    EXPECT_EQ(ioctl(file, VDSP_MMAP, vdsp_mmap{.flags = 0x1000, .size = 0}).error, ENOMEM);
    EXPECT_EQ(ioctl(file, VDSP_MMAP, vdsp_mmap{.flags = 0x1000, .size = std::uint64_t{1} << 40}).error, ENOMEM);
    EXPECT_TRUE(dsp().received.empty());
    EXPECT_EQ(ioctl(file, VDSP_MMAP, vdsp_mmap{.flags = 8, .size = 4096}).result, 0);
    EXPECT_EQ(in<Page>(640).address >> 32, 0U);
}

TEST_F(KernelCall, mem_map_twice_needs_two_unmaps_of_the_last_address) {
    std::uint64_t next = 0xD0000000;
    dsp().handler = [&next](FakeDsp& self, const WireRequest& request) {
        if (request.scalars == mem_map.word) self.put(first_byte(self.arguments(request)[3]), next += 0x1000);
        return 0;
    };
    const UniqueFd buffer = heap(8192);
    const vdsp_mem_map request{.fd = 7, .offset = 5, .flags = 2, .vaddrin = 0x7f0000000000, .length = 4000};
    EXPECT_EQ(ioctl(file, VDSP_MEM_MAP, request, &buffer).as<vdsp_mem_map>().vaddrout, 0xD0001000U);
    const auto arguments = dsp().arguments(last().request);
    EXPECT_EQ(first_byte(arguments[3]), last().request.address + 640);
    EXPECT_EQ(first_byte(arguments[1]), last().request.address + 768);
    EXPECT_EQ(first_byte(arguments[0]), last().request.address + 896);
    EXPECT_EQ(arguments[2].length, 0U);
    const auto body = in<MemMapBody>(896);
    EXPECT_EQ(body.client, 1);
    EXPECT_EQ(body.fd, 7);
    EXPECT_EQ(body.offset, 5);
    EXPECT_EQ(body.flags, 2U);
    EXPECT_EQ(body.address, 0x7f0000000000U);
    EXPECT_EQ(body.num, 16);
    EXPECT_EQ(body.data_length, 0);
    EXPECT_EQ(in<Page>(768).size, 4000U);

    vdsp_mem_map longer = request;
    longer.length = 1U << 20; // an existing mapping: the length is not looked at, and not remembered
    EXPECT_EQ(ioctl(file, VDSP_MEM_MAP, longer, &buffer).as<vdsp_mem_map>().vaddrout, 0xD0002000U);
    EXPECT_EQ(in<Page>(768).size, 4000U);
    EXPECT_EQ(ioctl(file, VDSP_MEM_UNMAP, vdsp_mem_unmap{.fd = 7, .vaddr = 0xD0001000}).error, EINVAL);
    EXPECT_EQ(ioctl(file, VDSP_MEM_UNMAP, vdsp_mem_unmap{.fd = 6, .vaddr = 0xD0002000}).error, EINVAL);
    for (const std::int32_t fd : {7, -1}) {
        EXPECT_EQ(ioctl(file, VDSP_MEM_UNMAP, vdsp_mem_unmap{.fd = fd, .vaddr = 0xD0002000}).result, 0);
        EXPECT_EQ(last().request.scalars, 0x0B010000U);
        EXPECT_EQ(in<MemUnmapBody>(512).client, 1);
        EXPECT_EQ(in<MemUnmapBody>(512).fd, 7);
        EXPECT_EQ(in<MemUnmapBody>(512).address, 0xD0002000U);
        EXPECT_EQ(in<MemUnmapBody>(512).length, 4000U);
    }
    EXPECT_EQ(ioctl(file, VDSP_MEM_UNMAP, vdsp_mem_unmap{.fd = 7, .vaddr = 0xD0002000}).error, EINVAL);
}

TEST_F(KernelCall, mem_map_refuses_what_is_no_buffer) {
    const UniqueFd buffer = heap(4096);
    const UniqueFd other(::memfd_create("not a dma-buf", MFD_CLOEXEC));
    EXPECT_EQ(ioctl(file, VDSP_MEM_MAP, vdsp_mem_map{.fd = -1, .length = 1}).error, EBADF);
    EXPECT_EQ(ioctl(file, VDSP_MEM_MAP, vdsp_mem_map{.fd = 5, .length = 1}, &other).error, EINVAL);
    EXPECT_EQ(ioctl(file, VDSP_MEM_MAP, vdsp_mem_map{.fd = 5, .length = 4097}, &buffer).error, EINVAL);
    EXPECT_EQ(fatal(), 1U);
    EXPECT_TRUE(dsp().received.empty());
}

TEST_F(KernelCall, mem_unmap_of_zero_hits_a_shell) {
    const UniqueFd shell = heap(4096);
    EXPECT_EQ(ioctl(file, VDSP_INIT_CREATE, vdsp_init_create{.filelen = 99, .filefd = 7}, &shell, 0).result, 0);
    EXPECT_EQ(ioctl(file, VDSP_MEM_UNMAP, vdsp_mem_unmap{.fd = -1, .vaddr = 0}).result, 0);
    EXPECT_EQ(in<MemUnmapBody>(512).fd, 7);
    EXPECT_EQ(in<MemUnmapBody>(512).length, 99U);
}

TEST_F(KernelCall, dsp_info_asks_once_per_channel) {
    dsp().handler = [](FakeDsp& self, const WireRequest& request) {
        const auto arguments = self.arguments(request);
        EXPECT_EQ(request.scalars, 0x00010100U);
        EXPECT_EQ(request.handle, 2U);
        EXPECT_EQ(arguments[1].length, 1020U);
        EXPECT_EQ(first_byte(arguments[1]), request.address + 512);
        EXPECT_EQ(first_byte(arguments[0]), request.address + 1536);
        EXPECT_EQ(self.get<std::uint32_t>(first_byte(arguments[0])), 255U);
        self.put(first_byte(arguments[1]) + 5 * 4, 0x73); // id 6
        return 0;
    };
    EXPECT_EQ(ioctl(file, VDSP_GET_DSP_INFO, vdsp_dsp_info{.attribute_id = 256}).error, EOVERFLOW);
    EXPECT_EQ(ioctl(file, VDSP_GET_DSP_INFO, vdsp_dsp_info{.attribute_id = 6}).as<vdsp_dsp_info>().capability, 0x73U);
    const auto other = open("fastrpc-cdsp");
    EXPECT_EQ(ioctl(other, VDSP_GET_DSP_INFO, vdsp_dsp_info{.attribute_id = 0}).as<vdsp_dsp_info>().capability, 0U);
    EXPECT_EQ(dsp().received.size(), 1U);
}

TEST_F(KernelCall, dsp_info_of_a_dsp_without_it_is_not_cached) {
    say(dsp(), static_cast<std::int32_t>(0x80000414U));
    EXPECT_EQ(ioctl(file, VDSP_GET_DSP_INFO, vdsp_dsp_info{.attribute_id = 6}).error, EOPNOTSUPP);
    say(dsp(), 39);
    EXPECT_EQ(ioctl(file, VDSP_GET_DSP_INFO, vdsp_dsp_info{.attribute_id = 6}).result, 39);
    say(dsp(), 0);
    EXPECT_EQ(ioctl(file, VDSP_GET_DSP_INFO, vdsp_dsp_info{.attribute_id = 6}).result, 0);
}

TEST_F(KernelCall, a_silent_dsp_times_out_and_costs_an_id) {
    hold(dsp());
    driver->context().kernel_timeout_ms = 20;
    EXPECT_EQ(attach(file).error, ETIMEDOUT);
    EXPECT_EQ(status()["contexts_abandoned"], 1);
    dsp().answer(0x10, 0); // late: accepted, and the id stays lost
    EXPECT_EQ(status()["contexts_used"], 1);
    say(dsp(), 0);
    EXPECT_EQ(attach(file).result, 0);
    EXPECT_EQ(last().request.context, 0x20U);
}

TEST_F(KernelCall, alloc_gives_a_buffer_of_the_exact_size) {
    const auto outcome = ioctl(file, VDSP_ALLOC_DMA_BUFF, vdsp_alloc_dma_buff{.size = 5000});
    EXPECT_EQ(::lseek(outcome.fd.get(), 0, SEEK_END), 5000);
    EXPECT_EQ(driver->buffers().find(outcome.fd.get())->kind, BufferKind::driver);
    EXPECT_NE(::ftruncate(outcome.fd.get(), 4096), 0);
    EXPECT_EQ(ioctl(file, VDSP_ALLOC_DMA_BUFF, vdsp_alloc_dma_buff{.size = 0}).error, ENOMEM);
    EXPECT_EQ(ioctl(file, VDSP_MEM_MAP, vdsp_mem_map{.fd = 5, .length = 8192}, &outcome.fd).result, 0); // whole pages
}

TEST_F(KernelCall, unknown_codes_are_enotty) {
    for (const std::uint32_t code : {0xC0045202U, 0xC020520CU, 0xC0185201U, VDSP_HEAP_ALLOC})
        EXPECT_EQ(ioctl(file, code, std::uint32_t{0}).error, ENOTTY) << std::hex << code;
}

TEST_F(KernelCall, a_malformed_request_is_told_apart) {
    for (const std::uint32_t code : {VDSP_ALLOC_DMA_BUFF, VDSP_MMAP, VDSP_MUNMAP, VDSP_MEM_MAP, VDSP_MEM_UNMAP,
                                     VDSP_INIT_CREATE, VDSP_INIT_CREATE_STATIC, VDSP_GET_DSP_INFO, VDSP_INIT_ATTACH})
        EXPECT_EQ(request_of(file, {.op = vdsp_op_ioctl, .code = code}, std::vector<std::byte>(15), {}).wait().served,
                  Served::malformed)
            << std::hex << code;
    EXPECT_TRUE(dsp().received.empty());
}

} // namespace
} // namespace fastrpc::vdsp
